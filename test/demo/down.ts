import { Footprint } from '../servers/footprint.ts';
import { stateFolder } from '../servers/paths.ts';

const footprint = Footprint.load(stateFolder('demo'));
if (footprint) await footprint.end();
console.log(footprint ? 'The demo is ended: nothing of it is left running.' : 'No demo is running.');
