// The SDKs that run in Node.

import { Analytics } from '@segment/analytics-node';
import Rudder from '@rudderstack/rudder-sdk-node';
import { PostHog } from 'posthog-node';
import { newTracker, buildPageView, buildSelfDescribingEvent, buildStructEvent } from '@snowplow/node-tracker';
import { segmentEvents, traits } from './journey.mjs';

export async function captureNode(recorder) {
  const host = `http://127.0.0.1:${recorder.port}`;

  recorder.into('segment-node');
  const segment = new Analytics({ writeKey: 'wk_shop', host, flushAt: 20, maxRetries: 0 });
  const who = { anonymousId: 'a-1', context: { ip: '192.0.2.9', userAgent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1', page: { url: 'https://shop.example/p/1?utm_source=mail&email=jane@example.com', title: 'Boots', referrer: 'https://search.example/' } } };
  for (const [event, properties] of segmentEvents) segment.track({ ...who, event, properties });
  segment.page({ ...who, name: 'Home', properties: { url: 'https://shop.example/', title: 'Home' } });
  segment.screen({ ...who, name: 'Cart' });
  segment.identify({ anonymousId: 'a-1', userId: 'u-1', traits });
  segment.group({ userId: 'u-1', groupId: 'g-1', traits: { name: 'Acme' } });
  segment.alias({ userId: 'u-1', previousId: 'a-1' });
  await segment.closeAndFlush();

  recorder.into('rudder-node');
  const rudder = new Rudder('wk_shop', { dataPlaneUrl: host, gzip: true, flushAt: 20, logLevel: 'error' });
  for (const [event, properties] of segmentEvents) rudder.track({ anonymousId: 'a-2', event, properties });
  rudder.identify({ userId: 'u-2', anonymousId: 'a-2', traits });
  rudder.page({ anonymousId: 'a-2', name: 'Home', properties: { url: 'https://shop.example/' } });
  await new Promise((done) => rudder.flush(done));

  recorder.into('posthog-node');
  const posthog = new PostHog('wk_shop', { host, flushAt: 50, fetchRetryCount: 0 });
  for (const [event, properties] of segmentEvents) posthog.capture({ distinctId: 'd-1', event, properties });
  posthog.capture({ distinctId: 'd-1', event: '$pageview', properties: { $current_url: 'https://shop.example/?q=a', $session_id: '0193-s' } });
  posthog.identify({ distinctId: 'u-3', properties: traits });
  posthog.alias({ distinctId: 'u-3', alias: 'd-1' });
  posthog.groupIdentify({ groupType: 'company', groupKey: 'acme', properties: { name: 'Acme' } });
  await posthog.isFeatureEnabled('flag', 'd-1');
  await posthog.shutdown();

  recorder.into('snowplow-node');
  const tracker = newTracker(
    { namespace: 'sp', appId: 'shop', encodeBase64: true },
    { endpoint: `127.0.0.1`, protocol: 'http', port: recorder.port, bufferSize: 3 },
  );
  tracker.setUserId('u-4');
  tracker.setDomainUserId('0f1e2d3c-4b5a-4978-8a9b-0c1d2e3f4a5b');
  tracker.setSessionId('1f1e2d3c-4b5a-4978-8a9b-0c1d2e3f4a5b');
  tracker.setNetworkUserId('2f1e2d3c-4b5a-4978-8a9b-0c1d2e3f4a5b');
  tracker.setIpAddress('192.0.2.9');
  tracker.setUseragent('Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36');
  tracker.track(buildPageView({ pageUrl: 'https://shop.example/', pageTitle: 'Übersicht' }));
  tracker.track(buildStructEvent({ category: 'shop', action: 'add-to-basket', label: 'x', property: 'pcs', value: 2 }));
  tracker.track(
    buildSelfDescribingEvent({
      event: {
        schema: 'iglu:com.snowplowanalytics.snowplow.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2',
        data: { type: 'transaction' },
      },
    }),
    [
      { schema: 'iglu:com.snowplowanalytics.snowplow.ecommerce/transaction/jsonschema/1-0-0', data: { transaction_id: 't-1', revenue: 89.9, payment_method: 'card', currency: 'EUR', total_quantity: 1 } },
      { schema: 'iglu:com.snowplowanalytics.snowplow.ecommerce/product/jsonschema/1-0-0', data: { id: 'p-1', category: 'Shoes', price: 89.9, currency: 'EUR' } },
    ],
  );
  tracker.flush();
  await new Promise((done) => setTimeout(done, 1500));
}
