// A session with the official JavaScript client, step by step: node session.js KUBECONFIG. Ends with "N passed, N failed".
import { PassThrough } from 'node:stream';
import net from 'node:net';
import * as k8s from '@kubernetes/client-node';

const NS = 'js';
const PATIENCE = 60_000; // milliseconds
const config = new k8s.KubeConfig();
config.loadFromFile(process.argv[2]);
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const extensions = config.makeApiClient(k8s.ApiextensionsV1Api);
const custom = config.makeApiClient(k8s.CustomObjectsApi);
const objects = k8s.KubernetesObjectApi.makeApiClient(config);
const checks = [];
const check = (name, run) => checks.push({ name, run });

function must(condition, what) {
  if (!condition) throw new Error(what);
}

async function eventually(condition) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    let value, reason;
    try {
      value = await condition();
    } catch (error) {
      reason = error;
    }
    if (value) return value;
    if (Date.now() > end) throw new Error(`still not after ${PATIENCE} ms: ${reason ?? value} ${reason?.cause ?? ""}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function refused(code, call) {
  try {
    await call();
  } catch (error) {
    must(error.code === code, `wanted ${code}, got ${error.code}: ${error.message}`);
    return error;
  }
  throw new Error(`wanted ${code}, but it was done`);
}

const collector = () => {
  const stream = new PassThrough();
  stream.text = '';
  stream.on('data', (chunk) => (stream.text += chunk));
  return stream;
};
const map = (name, data, labels) => ({ metadata: { name, labels }, data });
const pod = (name, command) => ({
  metadata: { name, labels: { app: name } },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'main', image: 'caravel/demo:1', command }],
  },
});

check('namespace', async () => {
  await core.createNamespace({ body: { metadata: { name: NS } } });
  await eventually(() => core.readNamespacedServiceAccount({ name: 'default', namespace: NS }));
});

check('create, get, list, patch, replace, delete', async () => {
  const made = await core.createNamespacedConfigMap({ namespace: NS, body: map('a', { k: '1' }) });
  must(made.metadata.creationTimestamp instanceof Date, 'times are dates');
  await core.patchNamespacedConfigMap(
    { name: 'a', namespace: NS, body: { data: { k: '2' } } },
    k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch));
  const now = await core.readNamespacedConfigMap({ name: 'a', namespace: NS });
  must(now.data.k === '2', JSON.stringify(now.data));
  now.data.l = '3';
  await core.replaceNamespacedConfigMap({ name: 'a', namespace: NS, body: now });
  await refused(409, () => core.replaceNamespacedConfigMap({ name: 'a', namespace: NS, body: made }));
  await core.deleteNamespacedConfigMap({ name: 'a', namespace: NS });
  await refused(404, () => core.readNamespacedConfigMap({ name: 'a', namespace: NS }));
});

check('selectors and pages', async () => {
  for (let i = 0; i < 7; i++)
    await core.createNamespacedConfigMap({ namespace: NS, body: map(`p${i}`, {}, { set: 'p', odd: `${i % 2}` }) });
  const odd = await core.listNamespacedConfigMap({ namespace: NS, labelSelector: 'set=p,odd=1' });
  must(odd.items.length === 3, `${odd.items.length}`);
  const names = [];
  for (let token; ;) {
    const page = await core.listNamespacedConfigMap({ namespace: NS, labelSelector: 'set=p', limit: 3, _continue: token });
    names.push(...page.items.map((item) => item.metadata.name));
    if (!(token = page.metadata._continue)) break;
  }
  must(names.join() === 'p0,p1,p2,p3,p4,p5,p6', names.join());
});

check('an informer sees additions, changes and deletions, and goes on after its connection is cut', async () => {
  const seen = [];
  const list = () => core.listNamespacedConfigMap({ namespace: NS, labelSelector: 'inf=yes' });
  const informer = k8s.makeInformer(config, `/api/v1/namespaces/${NS}/configmaps`, list, 'inf=yes');
  for (const verb of ['add', 'update', 'delete']) informer.on(verb, (item) => seen.push(`${verb} ${item.metadata.name}`));
  informer.on('error', () => setTimeout(() => informer.start(), 100));
  await informer.start();
  const body = map('seen', { a: '1' }, { inf: 'yes' });
  await core.createNamespacedConfigMap({ namespace: NS, body });
  await eventually(() => seen.includes('add seen'));
  body.data.a = '2';
  await core.replaceNamespacedConfigMap({ name: 'seen', namespace: NS, body });
  await eventually(() => seen.includes('update seen'));
  must(informer.get('seen', NS).data.a === '2', 'its cache is behind');
  await informer.stop();
  await informer.start();
  await core.deleteNamespacedConfigMap({ name: 'seen', namespace: NS });
  await eventually(() => seen.includes('delete seen'));
  await informer.stop();
});

check('a watch with bookmarks', async () => {
  const watch = new k8s.Watch(config);
  const seen = [];
  const { metadata } = await core.listNamespacedConfigMap({ namespace: NS });
  const abort = await watch.watch(
    `/api/v1/namespaces/${NS}/configmaps`,
    { resourceVersion: metadata.resourceVersion, allowWatchBookmarks: true },
    (type, object) => seen.push(`${type} ${object.metadata.name ?? ''}`), () => {});
  await core.createNamespacedConfigMap({ namespace: NS, body: map('watched', {}) });
  await eventually(() => seen.includes('ADDED watched'));
  abort.abort();
});

check('deployments', async () => {
  const labels = { app: 'web' };
  await apps.createNamespacedDeployment({
    namespace: NS,
    body: {
      metadata: { name: 'web' },
      spec: { replicas: 1, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod('x').spec } },
    },
  });
  await eventually(async () =>
    (await apps.readNamespacedDeploymentStatus({ name: 'web', namespace: NS })).status.availableReplicas === 1);
  const scale = await apps.readNamespacedDeploymentScale({ name: 'web', namespace: NS });
  scale.spec.replicas = 0;
  await apps.replaceNamespacedDeploymentScale({ name: 'web', namespace: NS, body: scale });
  await eventually(async () => !(await apps.readNamespacedDeployment({ name: 'web', namespace: NS })).status.replicas);
});

check('logs, followed', async () => {
  await core.createNamespacedPod({
    namespace: NS, body: pod('talk', ['sh', '-c', 'for i in 1 2 3; do echo line $i; done; sleep 600']),
  });
  await eventually(async () => (await core.readNamespacedPod({ name: 'talk', namespace: NS })).status.phase === 'Running');
  const out = collector();
  const abort = await new k8s.Log(config).log(NS, 'talk', 'main', out, { follow: true });
  await eventually(() => out.text === 'line 1\nline 2\nline 3\n');
  abort.abort();
});

check('exec over WebSocket', async () => {
  const out = collector();
  const err = collector();
  const status = await new Promise((resolve, reject) => {
    new k8s.Exec(config).exec(NS, 'talk', 'main', ['sh', '-c', 'echo out; echo err >&2; exit 3'], out, err, null, false,
      resolve).catch(reject);
  });
  must(status.status === 'Failure' && status.details.causes[0].message === '3', JSON.stringify(status));
  await eventually(() => out.text === 'out\n' && err.text === 'err\n');
});

check('port-forward', async () => {
  await core.createNamespacedPod({ namespace: NS, body: pod('serve') });
  await eventually(async () => (await core.readNamespacedPod({ name: 'serve', namespace: NS })).status.phase === 'Running');
  const forward = new k8s.PortForward(config);
  const server = net.createServer((socket) => forward.portForward(NS, 'serve', [8080], socket, null, socket));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  await eventually(async () => {
    const reply = await fetch(`http://127.0.0.1:${server.address().port}/`, { headers: { connection: 'close' } });
    return reply.status === 200;
  });
  server.close();
});

check('custom resources and the generic client', async () => {
  await extensions.createCustomResourceDefinition({
    body: {
      metadata: { name: 'boats.js.example.com' },
      spec: {
        group: 'js.example.com', scope: 'Namespaced',
        names: { plural: 'boats', singular: 'boat', kind: 'Boat' },
        versions: [{
          name: 'v1', served: true, storage: true, subresources: { status: {} },
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: {
                spec: { type: 'object', properties: { sails: { type: 'integer' } } },
                status: { type: 'object', properties: { speed: { type: 'integer' } } },
              },
            },
          },
        }],
      },
    },
  });
  const boat = { apiVersion: 'js.example.com/v1', kind: 'Boat', metadata: { name: 'b', namespace: NS }, spec: { sails: 2 } };
  await eventually(() => objects.create(boat));
  const read = await objects.read(boat);
  must(read.spec.sails === 2, JSON.stringify(read));
  const row = { group: 'js.example.com', version: 'v1', namespace: NS, plural: 'boats', name: 'b' };
  read.status = { speed: 7 };
  await custom.replaceNamespacedCustomObjectStatus({ ...row, body: read });
  const after = await custom.getNamespacedCustomObject(row);
  must(after.status.speed === 7, JSON.stringify(after));
  await objects.delete(boat);
  await refused(404, () => objects.read(boat));
  await extensions.deleteCustomResourceDefinition({ name: 'boats.js.example.com' });
});

check('server-side apply', async () => {
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ssa', namespace: NS }, data: { a: '1' } };
  const apply = (by, force) => objects.patch(body, undefined, undefined, by, force, k8s.PatchStrategy.ServerSideApply);
  await apply('one');
  body.data.a = '2';
  await refused(409, () => apply('two'));
  must((await apply('two', true)).data.a === '2', 'force takes it');
});

check('the namespace goes', async () => {
  await core.deleteNamespace({ name: NS });
  await eventually(async () => !(await core.listNamespace()).items.some((item) => item.metadata.name === NS));
});

let failed = 0;
for (const { name, run } of checks) {
  try {
    await run();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}
console.log(`${checks.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
