import { fileURLToPath } from 'node:url';
import { writeFiles } from './files.ts';
import { chartTemplates, manifests } from './manifests.ts';
import { reference } from './reference.ts';

/** Writes everything that is made from the kinds and node types. Run it from anywhere: paths start at the repository. */
const root = fileURLToPath(new URL('../../', import.meta.url));
await writeFiles(root, [...manifests(), ...chartTemplates(), ...reference()]);
