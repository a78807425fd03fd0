//! An event's way into Avro and out of it: by the order of the schema, as the log goes, and by names, as the library does.

use midsession_event::{Cart, Event, EventName, Page, Product, Record, Schematic, encode};

fn main() {
    divan::main();
}

fn event() -> Event {
    let mut event = Event::new("shop".into(), "load-123456789".into(), EventName::AddToCart, 1_790_000_000_000);
    event.visitor_id = Some("6f7c2ad1-5b0e-4a53-9f0e-0d9d3b7f5c11".into());
    event.page = Some(Page { url: Some("https://shop.example/p/1234".into()), ..Page::default() });
    event.products = vec![Product {
        id: "sku-12345".into(),
        category: Some("c12".into()),
        price: Some(19.5),
        currency: Some("EUR".into()),
        quantity: Some(1),
        ..Product::default()
    }];
    event.cart = Some(Cart { id: None, total_value: Some(90.0), currency: Some("EUR".into()) });
    event
}

#[divan::bench]
fn write_by_order(bencher: divan::Bencher) {
    let event = event();
    bencher.bench_local(|| encode(divan::black_box(&event)).map(|bytes| bytes.len()).unwrap_or(0));
}

#[divan::bench]
fn write_by_name(bencher: divan::Bencher) {
    let event = event();
    let schema: serde_avro_fast::Schema = Event::schema().text.parse().expect("the schema parses");
    let mut config = serde_avro_fast::ser::SerializerConfig::new(&schema);
    bencher.bench_local(|| {
        serde_avro_fast::to_datum(divan::black_box(&event), Vec::with_capacity(256), &mut config)
            .map(|bytes| bytes.len())
    });
}

#[divan::bench]
fn read_by_order(bencher: divan::Bencher) {
    let bytes = encode(&event()).unwrap_or_default();
    bencher.bench_local(|| Record::decode(divan::black_box(&bytes)).is_ok());
}

#[divan::bench]
fn read_by_name(bencher: divan::Bencher) {
    let bytes = encode(&event()).unwrap_or_default();
    let schema: serde_avro_fast::Schema = Event::schema().text.parse().expect("the schema parses");
    bencher.bench_local(|| serde_avro_fast::from_datum_slice::<Event>(divan::black_box(&bytes[5..]), &schema).is_ok());
}
