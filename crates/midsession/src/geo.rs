//! Places of addresses, from a MaxMind-format file. The address itself is never kept.

use crate::cli::Failure;
use midsession_collect::GeoLookup;
use midsession_event::{Geo, Str};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// A MaxMind-format database.
struct GeoDatabase(maxminddb::Reader<Vec<u8>>);

/// Opens a database.
pub fn open(path: &Path) -> Result<Arc<dyn GeoLookup>, String> {
    let reader = maxminddb::Reader::open_readfile(path).map_err(|cause| format!("{}: {cause}", path.display()))?;
    Ok(Arc::new(GeoDatabase(reader)))
}

/// What is wrong with the file.
pub fn failure(cause: String) -> Failure {
    Failure::new(format!("geo_database {cause}")).hint("a file in MaxMind's format is needed")
}

impl GeoLookup for GeoDatabase {
    fn lookup(&self, address: IpAddr) -> Option<Geo> {
        let city: maxminddb::geoip2::City<'_> = self.0.lookup(address).ok()?.decode().ok()??;
        let geo = Geo {
            country: city.country.iso_code.map(Str::from),
            region: city.subdivisions.first().and_then(|region| region.iso_code).map(Str::from),
            city: city.city.names.english.map(Str::from),
        };
        (geo != Geo::default()).then_some(geo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_collect::{Collector, Request, Schemas, Settings, Source};

    /// A value of the format's data section.
    enum Value<'a> {
        Text(&'a str),
        Int(u16),
        Long(u32),
        /// 64 bits, an extended type.
        Time(u64),
        Map(&'a [(&'a str, Value<'a>)]),
        List(&'a [Value<'a>]),
    }

    fn write(value: &Value<'_>, out: &mut Vec<u8>) {
        match value {
            Value::Text(text) => {
                assert!(text.len() < 29);
                out.push(2 << 5 | text.len() as u8);
                out.extend_from_slice(text.as_bytes());
            }
            Value::Int(value) => {
                out.push(5 << 5 | 2);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Value::Long(value) => {
                out.push(6 << 5 | 4);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Value::Time(value) => {
                out.extend_from_slice(&[8, 9 - 7]);
                out.extend_from_slice(&value.to_be_bytes());
            }
            Value::Map(pairs) => {
                out.push(7 << 5 | pairs.len() as u8);
                for (key, value) in *pairs {
                    write(&Value::Text(key), out);
                    write(value, out);
                }
            }
            Value::List(values) => {
                // Arrays are of an extended type: 7 and the second byte.
                out.extend_from_slice(&[values.len() as u8, 11 - 7]);
                values.iter().for_each(|value| write(value, out));
            }
        }
    }

    /// A database that knows one IPv4 /8 network: as many nodes as the prefix has bits, 24 bits a record.
    fn database(network: u8, place: &Value<'_>) -> Vec<u8> {
        const NODES: u32 = 8;
        let mut out = Vec::new();
        for bit in 0..NODES {
            let (nothing, data) = (NODES, NODES + 16);
            let next = if bit == NODES - 1 { data } else { bit + 1 };
            let records = if network >> (7 - bit) & 1 == 0 { [next, nothing] } else { [nothing, next] };
            records.iter().for_each(|record| out.extend_from_slice(&record.to_be_bytes()[1..]));
        }
        out.extend_from_slice(&[0; 16]);
        write(place, &mut out);
        out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        write(
            &Value::Map(&[
                ("node_count", Value::Long(NODES)),
                ("record_size", Value::Int(24)),
                ("ip_version", Value::Int(4)),
                ("database_type", Value::Text("Test-City")),
                ("languages", Value::List(&[Value::Text("en")])),
                ("binary_format_major_version", Value::Int(2)),
                ("binary_format_minor_version", Value::Int(0)),
                ("build_epoch", Value::Time(1)),
                ("description", Value::Map(&[("en", Value::Text("a test"))])),
            ]),
            &mut out,
        );
        out
    }

    #[test]
    fn an_event_gets_its_place_and_never_the_address() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("city.mmdb");
        let place = Value::Map(&[
            ("country", Value::Map(&[("iso_code", Value::Text("NL"))])),
            ("subdivisions", Value::List(&[Value::Map(&[("iso_code", Value::Text("UT"))])])),
            ("city", Value::Map(&[("names", Value::Map(&[("en", Value::Text("Utrecht"))]))])),
        ]);
        std::fs::write(&file, database(203, &place)).expect("writes");
        let settings = Settings { limits: Default::default(), secret: [0; 32], accept_any_key: false };
        let source = Source { write_key: "wk".into(), ..Source::default() };
        let geo = Some(open(&file).expect("opens"));
        let collector = Collector::new(vec![source], settings, Schemas::shipped(), geo);
        let known = Geo { country: Some("NL".into()), region: Some("UT".into()), city: Some("Utrecht".into()) };
        for (address, expected) in [("203.0.113.77", known), ("198.51.100.77", Geo::default())] {
            let body = br#"{"event_id":"e1","name":"page_view","visitor_id":"v1"}"#;
            let request = Request {
                method: "POST",
                path: "/v1/events",
                query: "key=wk",
                headers: &[("x-forwarded-for", address)],
                body,
                peer_ip: address.parse().ok(),
                received_at_us: 1_700_000_000_000_000,
                daily_salt: None,
            };
            let collected = collector.collect(&request, &mut || 1);
            let [event] = collected.events.as_slice() else { panic!("one event: {collected:?}") };
            assert_eq!(event.geo.clone().unwrap_or_default(), expected, "{address}");
            let written = midsession_event::encode(event).expect("encodes");
            assert!(!written.windows(address.len()).any(|part| part == address.as_bytes()), "{address} is kept");
            assert!(!format!("{event:?}").contains(address), "{address} is kept");
        }
    }

    #[test]
    fn what_is_no_database_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "nonsense").expect("writes");
        assert!(open(file.path()).is_err());
        assert!(open(Path::new("/nowhere/city.mmdb")).err().is_some_and(|cause| cause.contains("/nowhere/city.mmdb")));
    }
}
