//! The codec against the library, against damage, and against records of earlier versions.

use super::*;
use crate::*;

fn full_event() -> Event {
    let mut event = Event::new("shop".into(), "e1".into(), EventName::AddToCart, 1_700_000_000_000);
    event.visitor_id = Some("v1".into());
    event.user_id = Some("u1".into());
    event.page = Some(Page { url: Some("https://shop.example/p/1".into()), ..Page::default() });
    event.campaign = Some(Campaign { name: Some("autumn".into()), ..Campaign::default() });
    event.device = Some(Device { class: Some("mobile".into()), ..Device::default() });
    event.products = vec![Product { id: "p1".into(), price: Some(9.5), quantity: Some(2), ..Product::default() }];
    event.cart = Some(Cart { id: None, total_value: Some(19.0), currency: Some("EUR".into()) });
    event.order = Some(Order { revenue: Some(1.0), ..Order::default() });
    event.promotion = Some(Promotion { id: Some("x".into()), name: None });
    event.step = Some(2);
    for (key, value) in [
        ("null", PropertyValue::Null),
        ("bool", PropertyValue::Bool(true)),
        ("int", PropertyValue::Int(-7)),
        ("float", PropertyValue::Float(0.5)),
        ("text", PropertyValue::Text("é\u{0}".into())),
    ] {
        event.properties.insert(key.into(), value);
    }
    event.context = vec![Joined {
        kind: ContextKind::Inventory,
        id: "p1".into(),
        version: 12,
        at_ms: 1_700_000_000_000,
        stale: true,
        values: Values::from(event.properties.clone()),
    }];
    event
}

#[test]
fn ids_are_in_order() {
    for (index, schema) in SCHEMAS.iter().enumerate() {
        assert_eq!(schema.id.0 as usize, index + 1);
        let _ = schema.parsed();
    }
}

#[test]
fn every_record_round_trips() {
    let event = full_event();
    let id = OutputId { partition: PartitionId(3), offset: 9, ordinal: 1 };
    let decision = Decision {
        decision_id: DecisionId::of(SessionId(7), "cart_stalled", 2),
        rule: "cart_stalled".into(),
        rule_version: "1".into(),
        shopper: ShopperId::User("u1".into()),
        visitor_id: Some("v1".into()),
        session_id: SessionId(7),
        cart_version: 2,
        outcome: Outcome::Served,
        slot: "nudge".into(),
        payload: "{}".into(),
        expires_at_ms: 5,
        asked_at_ms: 4,
        inputs: [(Str::from("cart_value"), PropertyValue::Float(90.0))].into(),
        cause: id,
        cause_event_id: Some("e1".into()),
        by_silence: true,
        stamps_us: [(Str::from("received"), 1)].into(),
        context: event.context.clone(),
    };
    let handoff = Handoff {
        id,
        visitor_id: "v1".into(),
        user_id: "u1".into(),
        sessions: vec![CarriedSession {
            update: SessionUpdate { cart_value: Some(1.5), ..SessionUpdate::default() },
            last_stamp_ms: 1,
            cart_version: 2,
            consent: Consent::FULL,
            idle_fired_ms: 0,
            device_class_at_ms: Some(3),
            campaign_at_ms: None,
            other_tracker_ids: vec!["t0".into()],
            last_kind: Some(12),
        }],
        facts: vec![CarriedFact {
            time_ms: 1,
            value: None,
            product: Some("p".into()),
            category: None,
            currency: None,
            session: 0,
            quantity: 1,
            kind: 3,
            slot: 0,
        }],
        caps: vec![CapEntry {
            decision_id: DecisionId(1),
            rule: "r".into(),
            session_id: SessionId(1),
            at_ms: 1,
            counts: true,
            visitor_id: Some("v1".into()),
        }],
        pending: vec![CarriedCandidate {
            decision_id: DecisionId(2),
            rule: "r".into(),
            visitor_id: Some("v1".into()),
            session_id: SessionId(1),
            cart_version: 1,
            inputs: [(Str::from("cart_value"), PropertyValue::Float(90.0))].into(),
            cause_event_id: None,
            asked_at_ms: 3,
            consented: true,
            bot: false,
        }],
        shown: vec![CarriedShown {
            decision_id: DecisionId(1),
            rule: "r".into(),
            session_id: SessionId(1),
            expires_at_ms: 9,
        }],
        lifetimes: Some("[]".into()),
        returns: true,
        left: true,
    };
    for record in [
        Record::Event(Box::new(event.clone())),
        Record::Tick(Tick { due_ms: 4 }),
        Record::Decision(Box::new(decision)),
        Record::Handoff(Box::new(handoff)),
        Record::Forward(Box::new(Forward { id, user_id: "u1".into(), event: Box::new(event), left: false })),
        Record::Told(Box::new(Told {
            id,
            visitor_id: "v1".into(),
            user_id: "u1".into(),
            consent: Consent::NONE,
            said_at_ms: 5,
            said_by: Some("v2".into()),
            source: "shop".into(),
            event_id: "e9".into(),
            policy_version: Some("2026-11".into()),
        })),
        Record::Unmerge(Box::new(Unmerge {
            visitor_id: "v1".into(),
            user_id: "u1".into(),
            asked_at_ms: 5,
            reason: Some("shared tablet".into()),
            gives_on: true,
        })),
        Record::Recall(Box::new(Recall { id, visitor_id: "v1".into(), user_id: "u1".into() })),
        Record::Definition(Box::new(DefinitionChange {
            revision: 4,
            at_ms: 5,
            edits: [EditKind::Put, EditKind::Promote, EditKind::Remove, EditKind::Filed, EditKind::Filled]
                .map(|what| DefinitionEdit {
                    text: "[[feature]]".into(),
                    added: vec![7],
                    ..DefinitionEdit::feature(what, "views", 2)
                })
                .to_vec(),
        })),
        Record::Filled(Box::new(Filled {
            events: vec![FilledEvent {
                visitor_id: Some("v1".into()),
                facts: vec![FilledFact { slot: 7, value: Some(0.5), text: None, currency: Some("EUR".into()) }],
                ..FilledEvent::default()
            }],
            begins: vec![7],
            series: vec![FilledSeries { slot: 7, id: "p1".into(), steps: "[]".into() }],
        })),
    ] {
        let bytes = record.encode().expect("encodes");
        assert_eq!(Record::decode(&bytes).expect("decodes"), record);
        to_json(&bytes).expect("JSON");
    }
    // As the first version wrote them: without the lists that came later.
    let edits = vec![DefinitionEdit::feature(EditKind::Put, "views", 2)];
    let change = DefinitionChange { revision: 4, at_ms: 5, edits };
    let mut bytes = encode(&change).expect("encodes");
    assert_eq!((bytes.pop(), bytes[4]), (Some(0), 26));
    bytes[4] = 23;
    assert_eq!(decode::<DefinitionChange>(&bytes).expect("decodes"), change);
    let filled = Filled { events: vec![FilledEvent { kind: 3, ..FilledEvent::default() }], ..Filled::default() };
    let mut bytes = encode(&filled).expect("encodes");
    assert_eq!((bytes.pop(), bytes.pop(), bytes[4]), (Some(0), Some(0), 30));
    bytes[4] = 24;
    assert_eq!(decode::<Filled>(&bytes).expect("decodes"), filled);
    let reject = Reject {
        source: "s".into(),
        code: "c".into(),
        field: None,
        message: "m".into(),
        hint: None,
        owner: "tracker".into(),
        event_id: None,
        received_at_us: 0,
        payload: vec![0xff, 0],
        truncated: true,
    };
    let mut bytes = encode(&reject).expect("encodes");
    assert_eq!(decode::<Reject>(&bytes).expect("decodes"), reject);
    // As the first version wrote it: all its fields but the last.
    assert_eq!((bytes.pop(), bytes[4]), (Some(1), 25));
    bytes[4] = 7;
    assert_eq!(decode::<Reject>(&bytes).expect("decodes"), Reject { truncated: false, ..reject });
    let update = SessionUpdate { version: 3, ..SessionUpdate::default() };
    assert_eq!(decode::<SessionUpdate>(&encode(&update).expect("encodes")).expect("decodes"), update);
    let row = Context { kind: ContextKind::Price, id: "p1".into(), values: full_event().properties.into() };
    let bytes = encode(&row).expect("encodes");
    assert_eq!(decode::<Context>(&bytes).expect("decodes"), row);
    assert_eq!(to_json(&bytes).expect("JSON").1["values"]["float"], 0.5);
    let miss = EnrichmentMiss {
        kind: ContextKind::Price,
        id: None,
        owner: "pricing".into(),
        source: "s".into(),
        event_id: "e1".into(),
        misses: 3,
        at_ms: 7,
    };
    assert_eq!(decode::<EnrichmentMiss>(&encode(&miss).expect("encodes")).expect("decodes"), miss);
}

/// What goes by the order of the schema is what the library makes of it by names, to the byte, and back.
#[test]
fn both_forms_are_the_same() {
    fn same<T>(value: &T)
    where
        T: Schematic + Datum + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        let schema = T::schema();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        by_order::write(value, schema, &mut ours).expect("writes");
        by_name::write(value, schema, &mut theirs).expect("the library writes");
        assert_eq!(ours, theirs, "{value:?}");
        assert_eq!(&by_order::read::<T>(schema, &theirs).expect("reads"), value);
        assert_eq!(&by_name::read::<T>(schema, &ours).expect("the library reads"), value);
    }
    let full = full_event();
    let empty = Event::new("s".into(), "".into(), EventName::Custom("x".into()), i64::MIN);
    let mut far = full.clone();
    far.occurred_at_ms = i64::MAX;
    far.device_at_ms = Some(-1);
    far.step = Some(i32::MIN);
    far.products = vec![Product::default(); 300];
    far.name = EventName::Dismiss;
    let id = OutputId { partition: PartitionId(u32::MAX), offset: i64::MAX, ordinal: 7 };
    for event in [&full, &empty, &far] {
        same(event);
        same(&Forward { id, user_id: "u".into(), event: Box::new(event.clone()), left: true });
    }
    for state in SessionState::ALL {
        same(&SessionUpdate {
            session_id: SessionId(u128::MAX - 3),
            merged_into: Some(SessionId(5)),
            state: *state,
            cart_value: Some(-0.5),
            abandoned: true,
            device_class: Some("mobile".into()),
            ..SessionUpdate::default()
        });
    }
}

#[test]
fn arrays_may_come_in_blocks_with_their_size() {
    let schema = Event::schema();
    let mut event = full_event();
    event.products = vec![Product { id: "é".into(), ..Product::default() }; 2];
    let (mut whole, mut item) = (Vec::new(), Vec::new());
    event.write(&mut whole);
    event.products[0].write(&mut item);
    let items = [item.clone(), item.clone()].concat();
    let at = whole.windows(items.len() + 1).position(|w| w[0] == 4 && w[1..] == items).expect("the array");
    // -1 item of so many bytes, then the other as a block of its own.
    let blocks = [vec![1, item.len() as u8 * 2], item.clone(), vec![2], item].concat();
    let split = [&whole[..at], &blocks, &whole[at + 1 + items.len()..]].concat();
    assert_eq!(by_order::read::<Event>(schema, &split).expect("reads"), event);
    assert_eq!(by_name::read::<Event>(schema, &split).expect("the library reads"), event);
}

#[test]
fn damaged_values_are_errors() {
    let bytes = encode(&full_event()).expect("encodes");
    assert!(matches!(Record::decode(b""), Err(CodecError::Framing)));
    assert!(matches!(Record::decode(&[1, 0, 0, 0, 1, 0]), Err(CodecError::Framing)));
    assert!(matches!(Record::decode(&[0, 0, 0, 0, 99, 0]), Err(CodecError::UnknownSchema(99))));
    for cut in 5..bytes.len() {
        assert!(Record::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    assert!(Record::decode(&[&bytes[..], &[0]].concat()).is_err(), "bytes after the end");
    // Whatever one byte becomes: an error or another event, never a panic, and no memory for made-up counts.
    for at in 5..bytes.len() {
        for value in 0..=255 {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            let _ = Record::decode(&damaged);
        }
    }
}

/// The independent library reads what ours wrote, by the same schema.
#[test]
fn apache_avro_reads_it() {
    let schema = apache_avro::Schema::parse_str(Event::schema().text).expect("schema");
    let bytes = encode(&full_event()).expect("encodes");
    let value = apache_avro::from_avro_datum(&schema, &mut &bytes[5..], None).expect("datum");
    let apache_avro::types::Value::Record(fields) = value else { panic!("a record") };
    let name = fields.iter().find(|(name, _)| name == "name").map(|(_, value)| value);
    assert_eq!(name, Some(&apache_avro::types::Value::String("add_to_cart".into())));
}

/// Records as earlier versions wrote them: made once, by hand, and never again.
#[test]
fn records_of_earlier_versions_stay_readable() {
    let mut event = full_event();
    event.context.clear();
    let id = OutputId { partition: PartitionId(3), offset: 9, ordinal: 1 };
    let decision = Decision {
        decision_id: DecisionId(7),
        rule: "cart_stalled".into(),
        rule_version: "1".into(),
        shopper: ShopperId::User("u1".into()),
        visitor_id: Some("v1".into()),
        session_id: SessionId(7),
        cart_version: 2,
        outcome: Outcome::NoConsent,
        slot: "nudge".into(),
        payload: "{}".into(),
        expires_at_ms: 5,
        asked_at_ms: 4,
        inputs: [(Str::from("cart_value"), PropertyValue::Float(90.0))].into(),
        cause: id,
        cause_event_id: Some("e1".into()),
        by_silence: true,
        stamps_us: [(Str::from("received"), 1)].into(),
        context: Vec::new(),
    };
    let forward =
        Record::Forward(Box::new(Forward { id, user_id: "u1".into(), event: Box::new(event.clone()), left: false }));
    for (bytes, version, expected) in [
        (&include_bytes!("../../fixtures/event-1.avro")[..], 1, Record::Event(Box::new(event))),
        (&include_bytes!("../../fixtures/forward-1.avro")[..], 1, forward.clone()),
        (&include_bytes!("../../fixtures/forward-2.avro")[..], 2, forward),
        (&include_bytes!("../../fixtures/decision-1.avro")[..], 1, Record::Decision(Box::new(decision))),
    ] {
        assert_eq!(Record::decode(bytes).expect("reads"), expected);
        assert_eq!(to_json(bytes).expect("JSON").0.version, version);
        if !matches!(expected, Record::Decision(_)) {
            // By the order of the schema; the library looks no further than a record's last field.
            assert!(Record::decode(&[bytes, &[0]].concat()).is_err(), "what comes later is not read into it");
        }
        // Written again it is of the version of today.
        let again = expected.encode().expect("encodes");
        assert!(to_json(&again).expect("JSON").0.version > 1);
        assert_eq!(Record::decode(&again).expect("reads"), expected);
    }
}

/// A hand-off as the first version wrote it: all its fields but the last.
#[test]
fn an_older_handoff_is_read() {
    let handoff = Handoff {
        id: OutputId { partition: PartitionId(1), offset: 2, ordinal: 3 },
        visitor_id: "v1".into(),
        user_id: "u1".into(),
        sessions: Vec::new(),
        facts: Vec::new(),
        caps: Vec::new(),
        pending: Vec::new(),
        shown: Vec::new(),
        lifetimes: None,
        returns: false,
        left: false,
    };
    let mut bytes = encode(&handoff).expect("encodes");
    assert_eq!(bytes.split_off(bytes.len() - 1), [0], "nobody has left");
    bytes[4] = 29;
    assert_eq!(decode::<Handoff>(&bytes).expect("reads"), handoff, "the fifth version");
    assert_eq!(bytes.split_off(bytes.len() - 2), [0, 0], "the branch of null, and false");
    bytes[4] = 4;
    assert_eq!(decode::<Handoff>(&bytes).expect("reads"), handoff);
    assert!(decode::<Handoff>(&bytes[..bytes.len() - 1]).is_err(), "one that is cut is none");
    // The third version knew no times of what a session says of its device and campaign.
    let (mut third, update) = (handoff, SessionUpdate { campaign: Some("sale".into()), ..SessionUpdate::default() });
    let (consent, device_class_at_ms, campaign_at_ms) = (Consent::FULL, None, None);
    let (last_stamp_ms, cart_version, idle_fired_ms) = (1, 2, 0);
    third.sessions = vec![CarriedSession {
        update,
        last_stamp_ms,
        cart_version,
        consent,
        idle_fired_ms,
        device_class_at_ms,
        campaign_at_ms,
        other_tracker_ids: Vec::new(),
        last_kind: None,
    }];
    let mut bytes = encode(&third).expect("encodes");
    // The sixth did not know what had come last.
    assert_eq!(bytes.split_off(bytes.len() - 1), [0], "all that follows is empty, null or false");
    bytes[4] = 32;
    assert_eq!(decode::<Handoff>(&bytes).expect("reads"), third);
    assert_eq!(bytes.split_off(bytes.len() - 2), [0, 0], "all that follows is empty, null or false");
    // The fourth knew one id of a session's tracker.
    bytes[4] = 28;
    assert_eq!(decode::<Handoff>(&bytes).expect("reads"), third);
    assert_eq!(bytes.split_off(bytes.len() - 2), [0, 0], "likewise");
    bytes[4] = 19;
    assert_eq!(decode::<Handoff>(&bytes).expect("reads"), third);
    let second = decode::<Handoff>(include_bytes!("../../fixtures/handoff-2.avro")).expect("reads");
    assert_eq!((second.facts.len(), second.caps.len(), second.shown.len()), (1, 1, 1));
    let cap = &second.caps[0];
    assert!(cap.counts && cap.at_ms == 7 && cap.visitor_id.is_none() && !second.returns, "{second:?}");
    assert_eq!(decode::<Handoff>(&encode(&second).expect("encodes")).expect("decodes"), second);
}

/// One that earlier versions wrote gives nothing on, as it did then.
#[test]
fn an_older_unmerge_is_read() {
    let (visitor_id, user_id) = ("v1".into(), "u1".into());
    let unmerge = Unmerge { visitor_id, user_id, asked_at_ms: 5, reason: None, gives_on: false };
    let mut bytes = encode(&unmerge).expect("encodes");
    assert_eq!(bytes.pop(), Some(0), "false");
    bytes[4] = 20;
    assert_eq!(decode::<Unmerge>(&bytes).expect("reads"), unmerge);
}

#[test]
fn what_is_personal_and_its_evidence_round_trip() {
    let personal = Personal {
        event_id: "e1".into(),
        source: "shop".into(),
        received_at_us: 1,
        kinds: vec!["email".into()],
        sealed: vec![0xff, 0],
    };
    let bytes = encode(&personal).expect("encodes");
    assert_eq!(decode::<Personal>(&bytes).expect("decodes"), personal);
    assert_eq!(to_json(&bytes).expect("JSON").1["sealed"], "/wA=");
    let identity = Identity {
        visitor_id: "v1".into(),
        user_id: Some("u1".into()),
        attached_since_ms: Some(5),
        detached_at_ms: None,
        cause: Place { partition: PartitionId(3), offset: 9 },
    };
    let bytes = encode(&identity).expect("encodes");
    assert_eq!(decode::<Identity>(&bytes).expect("decodes"), identity);
    assert_eq!(to_json(&bytes).expect("JSON").1["cause"]["offset"], 9);
    let cause = Some(OutputId { partition: PartitionId(3), offset: 9, ordinal: 1 });
    let purposes = vec!["analytics".into()];
    let evidence = Evidence { purposes, cause, said_by: Some("v1".into()), ..Evidence::new("consent", 5) };
    let bytes = encode(&evidence).expect("encodes");
    assert_eq!(decode::<Evidence>(&bytes).expect("decodes"), evidence);
    assert_eq!(to_json(&bytes).expect("JSON").1["purposes"][0], "analytics");
}
