//! An unmerge with somebody else's stay beside it: as its record says, and as earlier versions did it.

#[path = "support/world.rs"]
mod world;

use midsession_event::{Event, EventName, Record, ShopperId, Unmerge, UserId, partition_of};
use world::{PARTITIONS, World};

const START_MS: i64 = 1_700_000_000_000;

impl World {
    fn views(&mut self, user: Option<&str>, at_ms: i64) {
        self.made += 1;
        let mut event = Event::new("shop".into(), format!("e{}", self.made).into(), EventName::ProductView, at_ms);
        (event.visitor_id, event.user_id) = (Some("tablet".into()), user.map(Into::into));
        self.append(partition_of("tablet", PARTITIONS), at_ms, Record::Event(Box::new(event)));
        self.arrive(at_ms);
    }

    fn facts(&self, who: &ShopperId) -> usize {
        let home = self.stream(who.as_str());
        home.view(who, home.as_of().1).map_or(0, |view| view.facts.all().len())
    }
}

#[test]
fn an_unmerge_goes_by_what_its_record_says() {
    let (visitor, owner) = (ShopperId::Visitor("tablet".into()), ShopperId::User(UserId("owner".into())));
    for gives_on in [false, true] {
        let mut world = World::new();
        world.views(Some("owner"), START_MS);
        world.views(Some("friend"), START_MS + 1_000);
        world.views(None, START_MS + 2_000);
        let unmerge = Unmerge {
            visitor_id: "tablet".into(),
            user_id: "friend".into(),
            asked_at_ms: START_MS + 3_000,
            reason: None,
            gives_on,
        };
        let partition = partition_of("tablet", PARTITIONS);
        world.append(partition, START_MS + 3_000, Record::Unmerge(Box::new(unmerge)));
        world.arrive(START_MS + 3_000);
        world.views(None, START_MS + 4_000);
        let (of_visitor, of_owner) = if gives_on { (0, 4) } else { (3, 1) };
        assert_eq!((world.facts(&visitor), world.facts(&owner)), (of_visitor, of_owner), "{gives_on}");
        // A record of earlier versions says nothing of it.
        let signed_in = world.stream("tablet").user_of(&visitor);
        assert_eq!(signed_in, gives_on.then(|| owner.clone()));
    }
}
