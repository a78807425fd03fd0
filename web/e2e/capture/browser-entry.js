// Bundled into one page: every browser SDK, started by name.

import * as snowplow from '@snowplow/browser-tracker';
import * as shop from '@snowplow/browser-plugin-snowplow-ecommerce';
import { AnalyticsBrowser } from '@segment/analytics-next';
import { RudderAnalytics } from '@rudderstack/analytics-js/bundled';
import posthog from 'posthog-js';
import { product, segmentEvents, traits } from './journey.mjs';

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function snowplowJourney(name, host, options) {
  snowplow.newTracker(name, host, {
    appId: 'shop', plugins: [shop.SnowplowEcommercePlugin()], contexts: { session: true, browser: true }, ...options,
  });
  const at = [name];
  snowplow.enableActivityTracking({ minimumVisitLength: 1, heartbeatDelay: 1 }, at);
  snowplow.trackPageView({ title: 'Stiefel & Söckchen' }, at);
  shop.setPageType({ type: 'product', language: 'de', locale: 'DE' }, at);
  shop.trackProductListView({ products: [product, { ...product, id: 'p-2' }], name: 'Top this week' }, at);
  shop.trackProductListClick({ product, name: 'Top this week' }, at);
  shop.trackProductView(product, at);
  shop.trackAddToCart({ products: [product], total_value: 89.9, currency: 'EUR', cart_id: 'c-1' }, at);
  shop.trackRemoveFromCart({ products: [product], total_value: 0, currency: 'EUR', cart_id: 'c-1' }, at);
  if (!options.anonymousTracking) shop.setEcommerceUser({ id: 'u-5', is_guest: false, email: 'jane@example.com' }, at);
  shop.trackCheckoutStep({ step: 1, shipping_postcode: '10115', shipping_full_address: 'Elm 1, Berlin', coupon_code: 'TEN' }, at);
  shop.trackCheckoutStep({ step: 2, payment_method: 'card' }, at);
  shop.trackTransaction({ transaction_id: 't-1', revenue: 89.9, currency: 'EUR', payment_method: 'card', total_quantity: 1, tax: 14.35, shipping: 4.9, products: [product] }, at);
  shop.trackTransactionError({ error_code: '402', error_shortcode: 'declined', transaction: { transaction_id: 't-2', revenue: 1, currency: 'EUR', payment_method: 'card', total_quantity: 1 } }, at);
  shop.trackRefund({ transaction_id: 't-1', currency: 'EUR', refund_amount: 10, refund_reason: 'size' }, at);
  shop.trackPromotionView({ id: 'autumn', name: 'Autumn', slot: 'hero' }, at);
  shop.trackPromotionClick({ id: 'autumn', name: 'Autumn' }, at);
  snowplow.trackStructEvent({ category: 'menu', action: 'open', label: 'main', value: 1 }, at);
  snowplow.trackSelfDescribingEvent({ event: { schema: 'iglu:com.snowplowanalytics.snowplow/site_search/jsonschema/1-0-0', data: { terms: ['boots', 'red'], totalResults: 7 } } }, at);
  snowplow.trackSelfDescribingEvent({ event: { schema: 'iglu:com.acme/size_chosen/jsonschema/1-0-0', data: { size: 42, note: { a: 1 } } } }, at);
  window.scrollTo(0, 300);
  document.body.dispatchEvent(new MouseEvent('mousemove', { bubbles: true }));
  await pause(3500);
}

window.run = {
  'snowplow-browser-post': (host) => snowplowJourney('sp', host, {}),
  'snowplow-browser-get': (host) => snowplowJourney('sp', host, { eventMethod: 'get' }),
  'snowplow-browser-anonymous': (host) => snowplowJourney('sp', host, { anonymousTracking: { withServerAnonymisation: true } }),
  'snowplow-browser-batch': (host) => snowplowJourney('sp', host, { bufferSize: 5, encodeBase64: true, anonymousTracking: { withSessionTracking: true } }),
  async 'segment-browser'(host) {
    const [analytics] = await AnalyticsBrowser.load(
      { writeKey: 'wk_shop', cdnURL: host },
      { integrations: { 'Segment.io': { apiHost: `${host.split('://')[1]}/v1`, protocol: 'http' } } },
    );
    await analytics.page('Home');
    for (const [event, properties] of segmentEvents) await analytics.track(event, properties);
    await analytics.identify('u-6', traits);
    await analytics.group('g-1', { name: 'Acme' });
    await analytics.alias('u-6b', 'u-6');
    await analytics.screen('Cart');
    await pause(500);
  },
  async 'segment-browser-batch'(host) {
    const [analytics] = await AnalyticsBrowser.load(
      { writeKey: 'wk_shop', cdnURL: host },
      { integrations: { 'Segment.io': { apiHost: `${host.split('://')[1]}/v1`, protocol: 'http', deliveryStrategy: { strategy: 'batching', config: { size: 5, timeout: 500 } } } } },
    );
    for (const [event, properties] of segmentEvents) analytics.track(event, properties);
    await pause(2500);
  },
  async 'rudder-browser'(host) {
    const rudder = new RudderAnalytics();
    rudder.load('wk_shop_of_rudder_stack_27', host, { configUrl: host, sendAdblockPage: false, lockIntegrationsVersion: true });
    await new Promise((done) => rudder.ready(done));
    rudder.page('Home');
    for (const [event, properties] of segmentEvents) rudder.track(event, properties);
    rudder.identify('u-7', traits);
    rudder.group('g-1', { name: 'Acme' });
    rudder.alias('u-7b', 'u-7');
    await pause(4000);
  },
  async 'rudder-browser-beacon'(host) {
    const rudder = new RudderAnalytics();
    rudder.load('wk_shop_of_rudder_stack_27', host, { configUrl: host, useBeacon: true, beaconQueueOptions: { maxItems: 3, flushQueueInterval: 500 } });
    await new Promise((done) => rudder.ready(done));
    rudder.page('Home');
    for (const [event, properties] of segmentEvents) rudder.track(event, properties);
    await pause(2500);
  },
  async 'posthog-browser'(host) {
    posthog.init('wk_shop', { api_host: host, opt_out_useragent_filter: true, capture_pageview: true, autocapture: false, disable_session_recording: true, disable_surveys: true, person_profiles: 'always', advanced_disable_decide: false });
    for (const [event, properties] of segmentEvents) posthog.capture(event, properties);
    await pause(4000);
    posthog.identify('u-8', traits);
    posthog.group('company', 'acme');
    posthog.capture('Product Viewed', segmentEvents[2][1]);
    await pause(4000);
    posthog.capture('leaving', {});
  },
};
