//! The unmodified Snowplow browser tracker and its ecommerce plugin, side by side as one global.
export * from "@snowplow/browser-tracker";
export * from "@snowplow/browser-plugin-snowplow-ecommerce";
