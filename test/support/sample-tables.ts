/**
 * Tables of settings as real projects have them, by their names and types; in words of our own, and
 * without what has no bearing on tracking.
 */
export interface SampleTable {
  readonly table: string;
  readonly create: string;
  readonly key: readonly string[];
  readonly value: readonly string[];
}

const WP_OPTIONS = `CREATE TABLE wp_options (
  option_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  option_name VARCHAR(191) NOT NULL DEFAULT '',
  option_value LONGTEXT NOT NULL,
  autoload VARCHAR(20) NOT NULL DEFAULT 'yes',
  UNIQUE KEY option_name (option_name), KEY autoload (autoload)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci`;

/** WordPress, by number. */
export const OPTIONS_BY_ID: SampleTable = {
  ...{ table: 'wp_options', create: WP_OPTIONS },
  ...{ key: ['option_id'], value: ['option_name', 'option_value'] },
};

/** WordPress, by name: a `utf8mb4_general_ci` key. */
export const OPTIONS_BY_NAME: SampleTable = {
  ...{ table: 'wp_options', create: WP_OPTIONS },
  ...{ key: ['option_name'], value: ['option_value'] },
};

/** Magento: three columns are the key, one of them a path with slashes. */
export const CORE_CONFIG_DATA: SampleTable = {
  table: 'core_config_data',
  create: `CREATE TABLE core_config_data (
    config_id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    scope VARCHAR(8) NOT NULL DEFAULT 'default',
    scope_id INT NOT NULL DEFAULT 0,
    path VARCHAR(255) NOT NULL DEFAULT 'general',
    value TEXT,
    updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    UNIQUE KEY scoped (scope, scope_id, path)
  ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci`,
  key: ['scope', 'scope_id', 'path'],
  value: ['value'],
};

/** Nextcloud: the primary key is two columns, compared by bytes. */
export const OC_APPCONFIG: SampleTable = {
  table: 'oc_appconfig',
  create: `CREATE TABLE oc_appconfig (
    appid VARCHAR(32) NOT NULL DEFAULT '',
    configkey VARCHAR(64) NOT NULL DEFAULT '',
    configvalue LONGTEXT NULL,
    type INT UNSIGNED NOT NULL DEFAULT 2,
    PRIMARY KEY (appid, configkey)
  ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`,
  key: ['appid', 'configkey'],
  value: ['configvalue', 'type'],
};

/** django-constance: columns whose names are words of SQL. */
export const CONSTANCE: SampleTable = {
  table: 'constance_constance',
  create: `CREATE TABLE constance_constance (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    \`key\` VARCHAR(255) NOT NULL UNIQUE,
    value LONGTEXT NULL
  ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4`,
  key: ['key'],
  value: ['value'],
};

export const SAMPLE_TABLES = [
  OPTIONS_BY_ID,
  OPTIONS_BY_NAME,
  CORE_CONFIG_DATA,
  OC_APPCONFIG,
  CONSTANCE,
];
