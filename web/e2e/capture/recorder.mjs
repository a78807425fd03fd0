// A tiny collector that answers each SDK well enough to make it send, and keeps every request as raw bytes.

import { createServer } from 'node:http';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const GIF = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');

/** What each SDK asks before it sends. */
function answer(path, query, host) {
  const segment = /^\/v1\/projects\/([^/]+)\/settings$/.exec(path);
  if (segment) {
    return {
      integrations: {
        'Segment.io': { apiKey: segment[1], unbundledIntegrations: [], addBundledMetadata: true, apiHost: `${host}/v1`, protocol: 'http' },
      },
      plan: { track: { __default: { enabled: true, integrations: {} } }, identify: { __default: { enabled: true } }, group: { __default: { enabled: true } } },
      edgeFunction: {}, analyticsNextEnabled: true, middlewareSettings: {}, enabledMiddleware: {}, metrics: { sampleRate: 0 },
      legacyVideoPluginsEnabled: false, remotePlugins: [],
    };
  }
  if (path.startsWith('/sourceConfig')) {
    const writeKey = query.get('writeKey') ?? '';
    return {
      source: {
        id: 'source', name: 'source', writeKey, enabled: true, workspaceId: 'workspace', destinations: [], dataplanes: {},
        connections: [], config: { statsCollection: { errors: { enabled: false }, metrics: { enabled: false } } },
      },
    };
  }
  if (path.startsWith('/array/')) {
    return { token: path.split('/')[2], supportedCompression: ['gzip-js'], hasFeatureFlags: false, sessionRecording: false, surveys: false, heatmaps: false };
  }
  if (path.startsWith('/flags')) {
    return { featureFlags: {}, featureFlagPayloads: {}, errorsWhileComputingFlags: false, flags: {}, requestId: '0' };
  }
  return undefined;
}

/** Starts a recorder; `label(name)` says where the next requests go. */
export async function record(root, pages) {
  let folder = '';
  let count = 0;
  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url, `http://${request.headers.host}`);
      const page = pages[url.pathname];
      if (request.method === 'GET' && page) {
        response.writeHead(200, { 'content-type': url.pathname.endsWith('.js') ? 'text/javascript' : 'text/html; charset=utf-8' });
        response.end(readFileSync(page));
        return;
      }
      if (url.pathname !== '/favicon.ico' && folder) {
        const head = [`${request.method} ${request.url} HTTP/1.1`];
        for (let index = 0; index < request.rawHeaders.length; index += 2) {
          head.push(`${request.rawHeaders[index]}: ${request.rawHeaders[index + 1]}`);
        }
        const slug = url.pathname.replace(/[^A-Za-z0-9]+/g, '-').replace(/^-|-$/g, '').slice(0, 48);
        const name = `${String(count).padStart(2, '0')}-${request.method.toLowerCase()}-${slug}.http`;
        count += 1;
        const body = Buffer.concat(chunks);
        writeFileSync(join(root, folder, name), Buffer.concat([Buffer.from(head.join('\r\n') + '\r\n\r\n', 'latin1'), body]));
      }
      const origin = request.headers.origin;
      const cors = origin
        ? {
            'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true', vary: 'Origin',
            'access-control-allow-headers': request.headers['access-control-request-headers'] ?? 'content-type',
            'access-control-max-age': '1',
          }
        : {};
      if (request.method === 'OPTIONS') {
        response.writeHead(200, cors).end();
        return;
      }
      const host = request.headers.host;
      const known = answer(url.pathname, url.searchParams, host);
      if (known) {
        response.writeHead(200, { ...cors, 'content-type': 'application/json' }).end(JSON.stringify(known));
      } else if (url.pathname === '/i' || url.pathname === '/ice.png') {
        response.writeHead(200, { ...cors, 'content-type': 'image/gif' }).end(GIF);
      } else if (/^\/(batch|e|i|capture)/.test(url.pathname)) {
        response.writeHead(200, { ...cors, 'content-type': 'application/json' }).end('{"status":1}');
      } else if (url.pathname.startsWith('/v1') || url.pathname.startsWith('/beacon')) {
        response.writeHead(200, { ...cors, 'content-type': 'application/json' }).end('{"success":true}');
      } else {
        response.writeHead(200, { ...cors, 'content-type': 'text/plain' }).end('ok');
      }
    });
  });
  await new Promise((done) => server.listen(0, done));
  return {
    port: server.address().port,
    into(name) {
      folder = name;
      count = 0;
      rmSync(join(root, name), { recursive: true, force: true });
      mkdirSync(join(root, name), { recursive: true });
    },
    close: () => new Promise((done) => { server.closeAllConnections(); server.close(done); }),
  };
}
