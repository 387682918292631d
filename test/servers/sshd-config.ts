/** What one sshd_config says. Everything else is OpenSSH's default. */
export interface SshdConfig {
  readonly port: number;
  readonly address: string;
  readonly hostKeyFile: string;
  readonly authorizedKeysFile: string;
  readonly pidFile: string;
  readonly passwords: boolean;
  /** Value of TEST_SSHD in every session, by which their processes are found. */
  readonly marker: string;
  /** HOME of every session, in place of the login user's. */
  readonly home?: string | undefined;
  readonly maxSessions?: number | undefined;
  /** Further lines. */
  readonly extra: readonly string[];
}

/** Name of the environment variable that marks every session's processes. */
export const MARKER = 'TEST_SSHD';

/** Text of an sshd_config. The first mention of an option counts, so `extra` comes first. */
export function renderSshdConfig(config: SshdConfig): string {
  const home = config.home === undefined ? '' : ` HOME=${config.home}`;
  const lines = [
    ...config.extra,
    `Port ${config.port}`,
    `ListenAddress ${config.address}`,
    `HostKey ${config.hostKeyFile}`,
    `AuthorizedKeysFile ${config.authorizedKeysFile}`,
    `PidFile ${config.pidFile}`,
    `PasswordAuthentication ${config.passwords ? 'yes' : 'no'}`,
    'KbdInteractiveAuthentication no',
    'PermitRootLogin yes',
    'StrictModes no',
    'UsePAM no',
    'UseDNS no',
    'PrintMotd no',
    'LogLevel VERBOSE',
    'MaxStartups 200',
    `SetEnv ${MARKER}=${config.marker}${home}`,
    'Subsystem sftp internal-sftp',
    ...(config.maxSessions === undefined ? [] : [`MaxSessions ${config.maxSessions}`]),
  ];
  return `${lines.join('\n')}\n`;
}

/** The copies of /etc/passwd, /etc/group and /etc/shadow that one sshd sees. */
export interface AccountFiles {
  readonly passwd: string;
  readonly group: string;
  readonly shadow: string;
}

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly home: string;
  readonly shell: string;
  /** As crypt(3) writes it; `*` allows no password. */
  readonly passwordHash: string;
}

/** Whether a user is in the text of a passwd file. */
export function hasAccount(passwd: string, name: string): boolean {
  return passwd.split('\n').some((line) => line.startsWith(`${name}:`));
}

/** Adds an account, or gives an existing one the password, and unlocks it: sshd refuses locked ones. */
export function withAccount(files: AccountFiles, account: Account): AccountFiles {
  const { name, uid, home, shell, passwordHash } = account;
  const known = hasAccount(files.passwd, name);
  const others = files.shadow.split('\n').filter((line) => line !== '' && !line.startsWith(`${name}:`));
  const shadow = `${[...others, `${name}:${passwordHash}:20000:0:99999:7:::`].join('\n')}\n`;
  if (known) return { ...files, shadow };
  return {
    passwd: `${files.passwd.trimEnd()}\n${name}:x:${uid}:${uid}::${home}:${shell}\n`,
    group: `${files.group.trimEnd()}\n${name}:x:${uid}:\n`,
    shadow,
  };
}
