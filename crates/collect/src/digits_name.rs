//! Under which names digits are a card's number, and under which four numbers with points are a version.

use crate::field_name::Words;

/// Words of a name under which the number of a card stands.
#[rustfmt::skip]
const CARD: [&str; 22] = [
    "card", "cardno", "cardnr", "cardnum", "cardnumber", "cards", "carte", "cc", "ccn", "ccno",
    "ccnr", "ccnum", "ccnumber", "creditcard", "debitcard", "kaart", "kaartnummer", "karte", "kartennummer", "kreditkarte",
    "pan", "tarjeta",
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
        && Words::of(path.rsplit('.').next().unwrap_or(path)).is_some_and(|w| w.any(&CARD) && !w.any(&ARTICLE))
        && crate::number::has_card(text)
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
        for list in [&CARD[..], &ARTICLE, &VERSION, &NETWORK] {
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
        ] {
            assert!(is_card(name, "4111 1111 1111 1111"), "{name}");
            assert!(!is_card(name, "4111 1111 1111 1112"), "{name}");
        }
        for name in ["order_id", "ean", "card_ean", "discard", "pancake", "company", "success", "note", "card.order_id"]
        {
            assert!(!is_card(name, "4111111111111111"), "{name}");
        }
    }
}
