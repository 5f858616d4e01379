/**
 * Splits a SQL file into statements, as the plain mysql client understands it.
 *
 * DELIMITER is a command of that client, no SQL: it is obeyed here and not passed on. Comments
 * between statements are dropped; those within one stay, and so do executable ones. Delimiters in
 * strings, quoted names and comments do not end a statement. One file then does the same in the
 * client of a DBA and in the runner.
 */
const DELIMITER_LINE = /[ \t]*delimiter[ \t]+(\S+)[^\n]*(?:\n|$)/iy;
const COMMENT = /--(?=\s|$)[^\n]*|#[^\n]*|\/\*(?!M?!).*?\*\//sy;
const QUOTED = /'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`|\/\*M?!.*?\*\//sy;
const QUOTES = new Set(["'", '"', '`']);

/** @throws SyntaxError when a quoted text has no end */
export function splitSql(script: string): string[] {
  const text = script.replaceAll('\r\n', '\n');
  const statements: string[] = [];
  let delimiter = ';';
  let statement = '';
  let at = 0;
  const finish = () => {
    if (statement.trim() !== '') statements.push(statement.trim());
    statement = '';
  };
  while (at < text.length) {
    const atLineStart = at === 0 || text[at - 1] === '\n';
    const command = atLineStart && statement.trim() === '' ? match(DELIMITER_LINE, text, at) : null;
    if (command !== null) {
      delimiter = command[1] ?? delimiter;
      at += command[0].length;
    } else if (text.startsWith(delimiter, at)) {
      finish();
      at += delimiter.length;
    } else {
      const token = tokenAt(text, at);
      const isOutside = statement.trim() === '';
      if (!(token.isComment && isOutside)) statement += token.text;
      at += token.text.length;
    }
  }
  finish();
  return statements;
}

function tokenAt(text: string, at: number): { text: string; isComment: boolean } {
  const comment = match(COMMENT, text, at);
  if (comment !== null) return { text: comment[0], isComment: true };
  const quoted = match(QUOTED, text, at);
  if (quoted !== null) return { text: quoted[0], isComment: false };
  const char = text.charAt(at);
  if (QUOTES.has(char)) {
    const line = text.slice(0, at).split('\n').length;
    throw new SyntaxError(`Expected a closing ${char} for the one in line ${line}, got none`);
  }
  return { text: char, isComment: false };
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}
