//! What changes with the day, in a process of its own: its clock is moved.

#[expect(dead_code, reason = "the other tests' support, of which little is needed")]
mod support;

use futures_util::{SinkExt, StreamExt};
use support::*;

/// A cookieless id is good for one day (UTC), also over a connection that was opened the day before.
#[tokio::test]
async fn a_web_socket_does_not_carry_cookieless_ids_over_midnight() {
    const DAY_MS: i64 = 86_400_000;
    let server = start().await;
    let key = "wk_cookieless";
    let url = format!("ws://{}/v1/events?key={key}", server.running.public);
    let (mut socket, _) = connect(&url, None).await.expect("connects");
    for day in 0..2 {
        // Over the socket first: a request would have turned the salt already.
        socket.send(event("socket").into()).await.expect("sends");
        socket.next().await.expect("an answer").expect("an answer");
        let target = format!("/v1/events?key={key}");
        assert_eq!(ask(server.running.public, "POST", &target, &[], event("post").as_bytes()).await.status, 200);
        let midnight_ms = (midsession_edge::clock::now_ms() / DAY_MS + 1) * DAY_MS;
        if day == 0 {
            midsession_edge::clock::not_before(midnight_ms);
        }
    }
    let ids: Vec<_> = server.log.events().into_iter().map(|event| event.visitor_id.expect("an id")).collect();
    let [socket_one, post_one, socket_two, post_two] = ids.as_slice() else { panic!("four events: {ids:?}") };
    assert_eq!((socket_one, socket_two), (post_one, post_two), "one day, one id, however it was sent");
    assert_ne!(socket_one, socket_two, "the salt of a day is not used on the next");
    assert!(ids.iter().all(|id| id.as_str() != "v1"), "{ids:?}");
}
