//! Definition files that were edited between two starts.

use crate::definitions::{FILED, Shop};
use crate::server::Server;
use serde_json::json;

#[test]
fn an_edited_file_is_taken_up_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_with(&data, None, FILED);
    let shop = Shop::of(&server);
    shop.views("e1", "v1", true);
    assert_eq!(shop.admin("DELETE", "/v1/definitions/feature/sale_views", "").0, 200);
    server.kill();
    let edited = FILED.replace(
        "event.name == \"product_view\"'",
        "event.name == \"product_view\" && event.properties.on_sale == false'",
    );
    let server = Server::start_with(&data, None, &edited);
    let shop = Shop::of(&server);
    for _ in 0..500 {
        if shop.listed(&["looks"]) == ["looks@2 live until_backfilled"] {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(shop.listed(&["looks", "sale_views"]), ["looks@2 live until_backfilled"], "what was removed stays so");
    shop.views("e2", "v1", false);
    assert_eq!(shop.user("v1").0["looks_1h"], 1);
    server.kill();
    let server = Server::start_with(&data, None, &edited);
    assert_eq!(Shop::of(&server).listed(&["looks"]), ["looks@2 live until_backfilled"], "it is taken up once");
    server.kill();
}

#[test]
fn what_is_read_by_what_was_put_while_running_is_not_taken_away_by_an_edit() {
    const BASE: &str = "[[feature]]\nname = \"base\"\nkey = \"user\"\nfold = \"count\"\nwindows = [\"1h\"]\n";
    const ON_BASE: &str =
        "[[feature]]\nname = \"on_base\"\nkey = \"user\"\nvalue = \"user.base > 1\"\nwindows = [\"1h\"]\n";
    const OTHER: &str = "[[feature]]\nname = \"other\"\nkey = \"user\"\nfold = \"count\"\nwindows = [\"5m\"]\n";
    let rule = "[[intervention]]\nname = \"on_rule\"\ntrigger = { event = \"product_view\" }\nwhen = 'user.base_1h > 1'\n\
                slot = \"nudge\"\npayload = { title = \"Hi\" }\n";
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_with(&data, None, BASE);
    let shop = Shop::of(&server);
    shop.views("e1", "v1", true);
    shop.views("e2", "v1", true);
    assert_eq!(shop.admin("POST", "/v1/definitions", &format!("{ON_BASE}{rule}")).0, 200);
    let (status, problem) = shop.admin("DELETE", "/v1/definitions/feature/base", "");
    let said = problem["title"].as_str().unwrap_or_default().to_owned();
    assert!(status == 422 && said.contains("on_base@1") && said.contains("remove or change that first"), "{problem}");
    server.kill();

    // The file has dropped what they read, and says something new besides.
    let edited = OTHER.to_owned();
    let server = Server::start_with(&data, None, &edited);
    let shop = Shop::of(&server);
    let names = ["base", "on_base", "other", "on_rule"];
    let as_it_was = ["base@1 live exactly", "on_base@1 live exactly", "on_rule@1 live -"];
    assert_eq!(shop.listed(&names), as_it_was, "all of the edit or none");
    let (features, _) = shop.user("v1");
    assert_eq!((&features["base_1h"], &features["on_base_1h"]), (&json!(2), &json!(true)), "{features}");
    let told = shop.admin("GET", "/v1/definitions", "").1["not_taken_up"].to_string();
    assert!(told.contains("on_base@1") && told.contains("on_rule@1"), "{told}");
    assert_eq!(
        shop.admin("PUT", "/v1/definitions/feature/more", &OTHER.replace("other", "more")).0,
        200,
        "others change"
    );
    assert_eq!(shop.admin("DELETE", "/v1/definitions/intervention/on_rule", "").0, 200);
    assert_eq!(shop.admin("DELETE", "/v1/definitions/feature/on_base", "").0, 200);
    server.kill();
    let server = Server::start_with(&data, None, &edited);
    let shop = Shop::of(&server);
    for _ in 0..500 {
        if shop.listed(&names) == ["other@1 live exactly"] {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(shop.listed(&names), ["other@1 live exactly"], "nothing is in its way any more");
    assert!(shop.admin("GET", "/v1/definitions", "").1["not_taken_up"].is_null());
    server.kill();
}
