import { chmodSync, copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { busyboxBinary } from './busybox.ts';
import { must } from './command.ts';
import { SANDBOX_IMAGE } from './node-config.ts';

/** An image for pods: busybox-static with a link for each of its programs. Never pulled from anywhere. */
export const BUSYBOX_IMAGE = 'outrider.dev/busybox:1';

/** Config of an image as the OCI image specification has it. */
export function imageConfig(layerDigest: string, command: readonly string[]): string {
  const names: Readonly<Record<string, string>> = { x64: 'amd64' };
  return JSON.stringify({
    architecture: names[process.arch] ?? process.arch,
    os: 'linux',
    config: { Env: ['PATH=/bin'], Cmd: command, WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: [`sha256:${layerDigest}`] },
    history: [{ created_by: 'busybox-static' }],
  });
}

/** Builds a tar with the busybox image and the sandbox image made from it, and returns its path. */
export async function buildImages(folder: string): Promise<string> {
  const root = join(folder, 'rootfs');
  for (const name of ['bin', 'etc', 'proc', 'sys', 'dev']) mkdirSync(join(root, name), { recursive: true });
  mkdirSync(join(root, 'tmp'), { recursive: true });
  chmodSync(join(root, 'tmp'), 0o1777);
  const busybox = await busyboxBinary();
  copyFileSync(busybox, join(root, 'bin/busybox'));
  chmodSync(join(root, 'bin/busybox'), 0o755);
  for (const applet of (await must(busybox, ['--list'])).trim().split('\n')) {
    if (applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet));
  }
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
  await must('tar', [
    '--numeric-owner',
    '--owner=0',
    '--group=0',
    '-C',
    root,
    '-cf',
    join(folder, 'layer.tar'),
    '.',
  ]);
  const digest = createHash('sha256')
    .update(readFileSync(join(folder, 'layer.tar')))
    .digest('hex');
  writeFileSync(join(folder, 'busybox.json'), imageConfig(digest, ['sh']));
  writeFileSync(join(folder, 'pause.json'), imageConfig(digest, ['sleep', 'infinity']));
  const manifest = [
    { Config: 'busybox.json', RepoTags: [BUSYBOX_IMAGE], Layers: ['layer.tar'] },
    { Config: 'pause.json', RepoTags: [SANDBOX_IMAGE], Layers: ['layer.tar'] },
  ];
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  const members = ['manifest.json', 'busybox.json', 'pause.json', 'layer.tar'];
  await must('tar', ['-C', folder, '-cf', join(folder, 'images.tar'), ...members]);
  return join(folder, 'images.tar');
}
