/** What `answer` brings, or an error of `late` when it takes longer than `timeoutMs`. The answer
 * goes on by itself, and what becomes of it then is nobody's business. The error is made only when
 * it is needed: its stack costs more than all the rest. */
export function within<T>(answer: Promise<T>, timeoutMs: number, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), timeoutMs);
    answer.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}
