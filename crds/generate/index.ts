import { fileURLToPath } from 'node:url';
import { writeFiles } from './files.ts';
import { chartTemplates, manifests } from './manifests.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
await writeFiles(root, [...manifests(), ...chartTemplates()]);
