//! Snowplow's Iglu webhook.

use crate::help::*;
use midsession_collect::Protocol;
use midsession_event::{EventName, PropertyValue};

const PATH: &str = "/com.snowplowanalytics.iglu/v1";

#[test]
fn by_post_and_by_pixel() {
    let schema = "iglu:com.acme/shelf/jsonschema/1-0-0";
    let object = format!(r#"{{"schema":"{schema}","data":{{"row":3,"email":"jane@example.com"}}}}"#);
    let row = |collected: &midsession_collect::Collected| one(collected).properties.get("row").cloned();
    let posted = Call::post(&format!("{PATH}?duid=d1&aid=shop"), object.clone()).send();
    assert_eq!((posted.protocol, row(&posted)), (Some(Protocol::IgluWebhook), Some(PropertyValue::Int(3))));
    let event = one(&posted);
    assert_eq!((event.name.as_str(), event.visitor_id.as_ref().map(|id| id.as_str())), ("shelf", Some("d1")));
    assert!(!event.properties.contains_key("email"));
    assert_eq!(&posted.reply.body[..], b"ok");
    let pixel = Call::get(&format!("{PATH}?schema=iglu%3Acom.acme%2Fshelf%2Fjsonschema%2F1-0-0&row=3&uid=u1")).send();
    assert_eq!(row(&pixel), Some(PropertyValue::Text("3".into())));
    assert_eq!(pixel.reply.header("content-type"), Some("image/gif"));
    assert_eq!(one(&pixel).user_id.as_ref().map(|id| id.as_str()), Some("u1"));
    let bare = Call::post(&format!("{PATH}?schema={schema}&duid=d1"), r#"{"row":3}"#).send();
    assert_eq!(row(&bare), Some(PropertyValue::Int(3)));
    let form = Call::post(&format!("{PATH}?duid=d1"), format!("schema={schema}&row=3")).send();
    assert_eq!(row(&form), Some(PropertyValue::Text("3".into())));
    let many = Call::post(&format!("{PATH}?duid=d1"), format!("[{object},{object}]")).send();
    assert_eq!(many.events.len(), 2);
}

#[test]
fn known_schemas_hold() {
    let refund = |amount: &str| {
        let body = format!(
            r#"{{"schema":"iglu:com.snowplowanalytics.snowplow/link_click/jsonschema/1-0-1","data":{{"targetUrl":{amount}}}}}"#
        );
        Call::post(&format!("{PATH}?duid=d1"), body).send()
    };
    assert_eq!(one(&refund(r#""/x""#)).name, EventName::Custom("link_click".into()));
    assert_eq!(codes(&refund("3")), [(0, "schema_violation", Some("data.targetUrl"))]);
    assert_eq!(codes(&Call::post(PATH, "{}").send()), [(0, "not_self_describing", None)]);
    assert_eq!(Call::post(PATH, "{}").send().reply.status, 200);
    assert!(Call::get(PATH).send().rejects.is_empty());
}
