//! Under which names digits are a card's number, and under which four numbers with points are a version.

use crate::field_name::{Words, is_in};

/// Words of a name under which the number of a card stands.
#[rustfmt::skip]
const CARD: [&str; 22] = [
    "card", "cardno", "cardnr", "cardnum", "cardnumber", "cards", "carte", "cc", "ccn", "ccno",
    "ccnr", "ccnum", "ccnumber", "creditcard", "debitcard", "kaart", "kaartnummer", "karte", "kartennummer", "kreditkarte",
    "pan", "tarjeta",
];

/// Names, as one word, of what is paid with: a number in it is a card's.
#[rustfmt::skip]
const PAYMENT: [&str; 9] = [
    "betaalmethode", "betaalwijze", "betaling", "paiement", "payment", "paymentdetails", "paymentmethod", "paymentmethods", "zahlung",
];

/// Words that say of something that it is its number, or one of several; of what stands before them.
#[rustfmt::skip]
const NUMBER: [&str; 19] = [
    "account", "data", "details", "digits", "full", "info", "input", "no", "nr", "num",
    "number", "numbers", "numero", "nummer", "raw", "string", "text", "val", "value",
];

/// Words of a name under which it does not: an article's number may check out as a card's does.
const ARTICLE: [&str; 8] = ["article", "ean", "gtin", "isbn", "order", "product", "sku", "upc"];

/// Words of a name under which four numbers with points are a version.
const VERSION: [&str; 7] =
    ["appversion", "browserversion", "firmwareversion", "osversion", "sdkversion", "version", "versions"];

/// Words of a name under which they are an address, whatever else it says. (`IPv4` falls apart after its first letter.)
const NETWORK: [&str; 10] = ["addr", "address", "host", "hostname", "ip", "ipaddress", "ips", "ipv", "peer", "pv"];

/// Whether the text holds a card's number under a name for one. Under another name as many digits may be an order's.
pub(crate) fn is_card(path: &str, text: &str) -> bool {
    // Cheapest first.
    text.len() >= 13
        && text.bytes().filter(u8::is_ascii_digit).count() >= 13
        && is_of_card(path)
        && crate::number::has_card(text)
}

/// Whether the last segment of a path names a card; where it is a `number` or an index, the one that it is of.
fn is_of_card(path: &str) -> bool {
    let is_number = |words: &Words| {
        (0..words.count).all(|at| {
            let word = words.joined(at..at + 1);
            is_in(&NUMBER, word) || word.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    for (at, segment) in path.rsplit('.').enumerate() {
        let Some(words) = Words::of(segment) else { return false };
        if !is_number(&words) {
            let is_payment = at > 0 && is_in(&PAYMENT, words.joined(0..words.count));
            return (is_payment || words.any(&CARD)) && !words.any(&ARTICLE);
        }
    }
    false
}

/// Whether a field of this name holds the number of an article or an order.
pub(crate) fn is_article(name: &str) -> bool {
    Words::of(name).is_some_and(|words| words.any(&ARTICLE))
}

/// Whether a field of this name holds a version, which may look like an IP address.
pub(crate) fn is_version(path: &str) -> bool {
    if memchr::memmem::find(path.as_bytes(), b"ersion").is_none() && !path.contains("ERSION") {
        return false;
    }
    let mut segments = path.rsplit('.').map(Words::of);
    let Some(Some(last)) = segments.next() else { return false };
    last.any(&VERSION) && !last.any(&NETWORK) && segments.all(|words| words.is_some_and(|words| !words.any(&NETWORK)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [&CARD[..], &PAYMENT, &NUMBER, &ARTICLE, &VERSION, &NETWORK] {
            assert!(list.is_sorted_by(|one, next| one < next), "{list:?}");
        }
    }

    #[test]
    fn versions() {
        for name in
            ["version", "app_version", "appVersion", "os.version", "client_version", "$browserVersion", "osversion"]
        {
            assert!(is_version(name), "{name}");
        }
        for name in [
            "conversion",
            "conversion_ip",
            "inversion",
            "client_version_ip",
            "version_host",
            "ip.version",
            "version.client",
            "versionIPv4",
        ] {
            assert!(!is_version(name), "{name}");
        }
    }

    #[test]
    fn cards_by_name() {
        for name in [
            "card",
            "cardno",
            "card_number",
            "cardNr",
            "pan",
            "cc",
            "cc_number",
            "payment.card",
            "kreditkarte",
            "gift_card",
            "card.number",
            "card.no",
            "card.cardNumber",
            "cards.0.number",
            "cards..number",
            "payment.card.number",
            "card.details.raw_number",
            "card[number]",
            "cc.num",
            "paymentMethod.number",
            "payment.number",
        ] {
            assert!(is_card(name, "4111 1111 1111 1111"), "{name}");
            assert!(!is_card(name, "4111 1111 1111 1112"), "{name}");
        }
        for name in [
            "order_id",
            "ean",
            "card_ean",
            "discard",
            "pancake",
            "company",
            "success",
            "note",
            "card.order_id",
            "number",
            "payment",
            "payment_method",
            "payment.id",
            "order.number",
            "card.order.number",
            "card.product.ean.value",
            "article.0",
        ] {
            assert!(!is_card(name, "4111111111111111"), "{name}");
        }
    }
}
