import { OutriderError } from '@outrider/protocol';

/** The store that is built in: Secrets of the run's namespace. No CredentialStore may be called so. */
export const secretStore = 'secret';

export interface CredentialName {
  readonly store: string;
  readonly name: string;
}

/** @throws OutriderError BadRequest for what is not STORE:NAME, or a NAME that could leave its prefix. */
export const parseReference = (reference: string): CredentialName => {
  const match = /^([a-z0-9](?:[a-z0-9-]*[a-z0-9])?):([A-Za-z0-9][A-Za-z0-9._/-]*)$/.exec(reference);
  const [, store = '', name = ''] = match ?? [];
  const segments = name.split('/');
  if (match && segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..'))
    return { store, name };
  throw new OutriderError({
    code: 'BadRequest',
    message: `The credential ${JSON.stringify(reference)} is not STORE:NAME with a plain path as its name.`,
    action: 'Write it like vault:prod/ssh-key or secret:prod-server, without empty, "." or ".." segments.',
  });
};
