//! A login in mid-session, and a merge that was undone, as against histories in which they never were.

use midsession::assemble::Assembly;
use midsession_event::{Consent, Event, EventName, Record, SessionId, ShopperId, Unmerge, VisitorId, partition_of};
use midsession_machine::Effect;
use midsession_machine::partial::{Life, Partial};
use midsession_sim::draw::{Shoppers, of_one_visitor};
use midsession_sim::rng::Rng;
use midsession_sim::world::{Ticks, Ways, World};
use midsession_stream::{Config, Defect, Stream};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const START_MS: i64 = 1_700_000_000_000;
const WAYS: Ways = Ways { ticks: Ticks::Within(0), route_ms: 0, decide_ms: 0, twice: 0, forgotten: 0, painted: 0 };

type Arrivals = Vec<(i64, Event)>;

/// The native features, and one over a lifetime.
fn assembly() -> Arc<Assembly> {
    let text =
        "[[feature]]\nname = \"act_count\"\nkey = \"user\"\nfold = \"count\"\nwindows = [\"lifetime\"]\ndoc = \"x\"\n";
    let config = midsession::config::Config::parse(text, Path::new("sim.toml")).unwrap();
    Arc::new(Assembly::load(&config, false).unwrap())
}

/// A history up to an instant.
struct Told {
    world: World,
    assembly: Arc<Assembly>,
    asked: Vec<String>,
}

impl Told {
    fn new(assembly: &Arc<Assembly>, config: Config, events: &Arrivals, unmerge: Option<(i64, &str, &str)>) -> Self {
        let mut world = World::new(config, WAYS, START_MS, Rng::new(7));
        world.probe.assembly = Some(Arc::clone(assembly));
        for (at_ms, event) in events {
            let partition = partition_of(event.key(), config.partitions).0;
            world.append_at(*at_ms, partition, Record::Event(Box::new(event.clone())));
        }
        if let Some((at_ms, visitor, user)) = unmerge {
            let (visitor_id, user_id) = (visitor.into(), user.into());
            let unmerge = Unmerge { visitor_id, user_id, asked_at_ms: at_ms, reason: None, gives_on: true };
            world.append_at(at_ms, partition_of(visitor, config.partitions).0, Record::Unmerge(Box::new(unmerge)));
        }
        Self { world, assembly: Arc::clone(assembly), asked: Vec::new() }
    }

    fn until(&mut self, until_ms: i64) {
        while self.world.next_ms().is_some_and(|at_ms| at_ms <= until_ms) {
            let Some(step) = self.world.step() else { return };
            self.asked.extend(step.effects.iter().filter_map(|effect| match effect {
                // The arm that somebody is in follows from the rule and the shopper.
                Effect::Candidate(candidate) => Some(format!(
                    "{} {} {} {} {}",
                    candidate.decision_id,
                    candidate.rule,
                    candidate.shopper,
                    candidate.cart_version,
                    candidate.asked_at_ms
                )),
                _ => None,
            }));
        }
    }

    fn home(&self, who: &ShopperId) -> &Stream {
        &self.world.streams[who.partition(self.world.streams.len() as u32).0 as usize]
    }

    /// Features of a shopper.
    fn features(&self, who: &ShopperId, now_ms: i64) -> Vec<String> {
        let view = self.home(who).view(who, now_ms);
        let values = view.map(|view| self.assembly.user_values(&view, &[])).unwrap_or_default();
        // One who is not known (any more) is one whose counts are all zero.
        let is_nothing = |text: &str| text.ends_with("Int(0)") || text.ends_with("Null");
        let of_windows = values.iter().filter(|(name, _)| !name.contains("lifetime"));
        // Lifetimes outlast what is kept of shoppers.
        let mut lives: BTreeMap<Option<VisitorId>, Life> = BTreeMap::new();
        for life in self.home(who).partials().lifetimes.of(who) {
            // Logouts divide them.
            match lives.get_mut(&life.visitor) {
                Some(known) => known.join(life.clone()),
                None => _ = lives.insert(life.visitor.clone(), life.clone()),
            }
        }
        let mut all: Vec<String> = of_windows
            .map(|(name, value)| format!("{name} {value:?}"))
            .filter(|text| !is_nothing(text))
            .chain(lives.into_values().map(|life| {
                format!(
                    "{:?} since {} uncounted {:?}; {:?}",
                    life.visitor, life.since_ms, life.uncounted_ms, life.partials
                )
            }))
            .collect();
        all.sort();
        all
    }

    /// Sessions of a shopper by their device, with their features; those that may be forgotten by now are left out.
    fn sessions(&self, who: &ShopperId, now_ms: i64, with_ids: bool) -> Vec<String> {
        let home = self.home(who);
        let config = Config::default();
        let kept_ms = config.gap_ms + config.grace_ms + config.readable_ms;
        let Some((_, shopper)) = home.shoppers_from(0).find(|(_, shopper)| shopper.id == *who) else {
            return Vec::new();
        };
        let known = shopper.sessions.iter().filter(|session| session.merged_into.is_none());
        let mut all: Vec<String> = known
            .filter(|session| session.ended_at_ms + kept_ms > now_ms)
            .map(|session| {
                let mut update = session.update(home.currencies());
                // What was over before the login stays nameless; an update that is owed is told later or sooner.
                (update.version, update.user_id) = (0, None);
                if !with_ids {
                    update.session_id = SessionId(0);
                }
                let view = home.session_view(session.id, now_ms);
                let mut values = view.map(|view| self.assembly.session_values(&view, &[])).unwrap_or_default();
                values.retain(|(name, _)| name != "idle_ms" || session.is_live() && with_ids);
                format!("{:?} {update:?} {} {values:?}", update.visitor_id, session.cart.size)
            })
            .collect();
        all.sort();
        all
    }

    fn caps(&self, who: &ShopperId) -> Vec<String> {
        let view = self.home(who).view(who, 0);
        let mut caps: Vec<String> =
            view.map(|view| view.caps.iter().map(|cap| format!("{cap:?}")).collect()).unwrap_or_default();
        caps.sort();
        caps
    }
}

/// Events of some visitors, without anybody signed in, and without words on consent: what is refused is gone for good.
fn anonymous(rng: &mut Rng, steps: usize) -> Arrivals {
    let mut events = Shoppers::draw(Rng::new(rng.bits()), START_MS, steps);
    of_one_visitor(&mut events);
    events.retain(|(_, event)| event.visitor_id.is_some() && event.name != EventName::Consent);
    for (_, event) in &mut events {
        (event.user_id, event.consent, event.consent_said) = (None, Consent::FULL, false);
    }
    events
}

/// Some instants from one on: of arrivals, and around them.
fn instants(rng: &mut Rng, events: &Arrivals, from_ms: i64) -> Vec<i64> {
    let later: Vec<i64> = events.iter().map(|(at_ms, _)| *at_ms).filter(|at_ms| *at_ms >= from_ms).collect();
    let mut some = vec![from_ms];
    for _ in 0..6.min(later.len()) {
        some.push(rng.pick(&later) + rng.pick(&[0, 0, 1, 5_000, 20_000, 1_800_000]));
    }
    some.extend(later.last());
    some.sort_unstable();
    some
}

/// From the login on, user features, caps and arms equal one that knew the identity from the start; sessions equal it
/// per visitor. Visitors sign in one by one, in the middle of what they do, at the very millisecond of it and around.
#[test]
fn from_the_login_on_everything_equals_one_who_was_known_from_the_start() {
    let assembly = assembly();
    let user = ShopperId::User("u0".into());
    let (mut compared, mut with_caps, mut asked) = (0, 0, 0);
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let mut events = anonymous(&mut rng, 3 + (seed % 40) as usize);
        events.retain(|(_, event)| event.name != EventName::Logout);
        let mut visitors: Vec<_> = events.iter().filter_map(|(_, event)| event.visitor_id.clone()).collect();
        visitors.sort();
        visitors.dedup();
        visitors.truncate(if seed % 3 == 0 { 3 } else { 1 });
        events.retain(|(_, event)| event.visitor_id.as_ref().is_some_and(|id| visitors.contains(id)));
        let mut logins = BTreeMap::new();
        for visitor in &visitors {
            let theirs: Vec<i64> = events
                .iter()
                .filter(|(_, event)| event.visitor_id.as_ref() == Some(visitor))
                .map(|(at, _)| *at)
                .collect();
            let at_ms = rng.pick(&theirs) + rng.pick(&[-1, 0, 0, 1, 1_000]);
            logins.insert(visitor.clone(), at_ms);
        }
        for (at_ms, event) in &mut events {
            let login_ms = event.visitor_id.as_ref().map_or(0, |visitor| logins[visitor]);
            // Later ones may go without the name; those from before the login that come after it say whose they are.
            if *at_ms > login_ms && (event.occurred_at_ms < login_ms || rng.chance(50)) {
                event.user_id = Some("u0".into());
            }
        }
        for (visitor, at_ms) in &logins {
            let mut login = Event::new("shop".into(), format!("login-{visitor}").into(), EventName::Login, *at_ms);
            (login.visitor_id, login.user_id) = (Some(visitor.clone()), Some("u0".into()));
            events.push((*at_ms, login));
        }
        events.sort_by_key(|(at_ms, _)| *at_ms);
        let Some(last_login_ms) = logins.values().max().copied() else { continue };
        let mut from_the_start = events.clone();
        from_the_start.iter_mut().for_each(|(_, event)| event.user_id = Some("u0".into()));
        let config = Config { partitions: rng.pick(&[1, 4]), ..Config::default() };
        let mut found = Told::new(&assembly, config, &events, None);
        let mut expected = Told::new(&assembly, config, &from_the_start, None);
        found.until(last_login_ms);
        expected.until(last_login_ms);
        let (asked_found, asked_expected) = (found.asked.len(), expected.asked.len());
        for at_ms in instants(&mut rng, &events, last_login_ms) {
            found.until(at_ms);
            expected.until(at_ms);
            let what = format!("seed {seed} at {at_ms}");
            assert_eq!(found.features(&user, at_ms), expected.features(&user, at_ms), "{what}: features");
            // A cap over two devices may bind earlier for who was known earlier: then other carts are looked at.
            assert_eq!(found.sessions(&user, at_ms, true), expected.sessions(&user, at_ms, true), "{what}: sessions");
            if visitors.len() == 1 {
                assert_eq!(found.caps(&user), expected.caps(&user), "{what}: caps");
                assert_eq!(found.asked[asked_found..], expected.asked[asked_expected..], "{what}: arms");
                with_caps += usize::from(!found.caps(&user).is_empty());
                asked += found.asked.len() - asked_found;
            }
            compared += 1;
        }
    }
    assert!(compared > 1_000 && with_caps > 50 && asked > 50, "{compared} {with_caps} {asked}");
}

/// A lifetime has what its user did: not what was done on their device before a logout of whoever was there unknown, nor what was done
/// since their own.
#[test]
fn a_lifetime_is_divided_by_logouts() {
    let assembly = assembly();
    let (user, mut divided) = (ShopperId::User("u0".into()), 0);
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let mut events = anonymous(&mut rng, 8 + (seed % 40) as usize);
        let mut known = BTreeSet::new();
        events.retain(|(at_ms, event)| {
            let is_of_it = event.occurred_at_ms == *at_ms && event.visitor_id == Some("v0".into());
            is_of_it && known.insert(event.event_id.clone())
        });
        let Some(at) = events.len().checked_sub(1).map(|last| rng.below(last as u64 + 1) as usize) else { continue };
        let at_ms = events[at].0 + 1;
        let mut login = Event::new("shop".into(), "login".into(), EventName::Login, at_ms);
        (login.visitor_id, login.user_id) = (Some("v0".into()), Some("u0".into()));
        events.retain(|(other_ms, _)| *other_ms != at_ms);
        events.push((at_ms, login));
        events.sort_by_key(|(at_ms, _)| *at_ms);
        let is_logout = |(_, event): &&(i64, Event)| event.name == EventName::Logout;
        let logouts: Vec<i64> = events.iter().filter(is_logout).map(|(at_ms, _)| *at_ms).collect();
        // A day later nobody knows who was there.
        let from_ms = logouts.iter().copied().filter(|logout_ms| *logout_ms < at_ms).max();
        let to_ms = logouts.iter().copied().find(|logout_ms| *logout_ms > at_ms).unwrap_or(i64::MAX);
        let theirs = |time_ms: i64| from_ms.is_none_or(|from_ms| time_ms > from_ms) && time_ms <= to_ms;
        let expected = events.iter().filter(|(time_ms, _)| theirs(*time_ms)).count();
        let mut told =
            Told::new(&assembly, Config { partitions: rng.pick(&[1, 4]), ..Config::default() }, &events, None);
        told.until(i64::MAX);
        let lives = told.home(&user).partials().lifetimes.of(&user);
        let partials = lives.iter().flat_map(|life| &life.partials).map(|(_, partial)| match partial {
            Partial::Count(count) => *count as usize,
            _ => 0,
        });
        assert_eq!(partials.sum::<usize>(), expected, "seed {seed}: {from_ms:?} to {to_ms}");
        divided += usize::from(from_ms.is_some());
    }
    assert!(divided > 50, "{divided}");
}

/// A visitor who was taken for a user, and turned out not to be: a history, the instant of the unmerge, and the same
/// history in which they never were. With an `owner` somebody else signs in on the device, too, before, meanwhile and after.
fn mistaken(rng: &mut Rng, steps: usize, owner: Option<&str>) -> (Arrivals, i64, Arrivals) {
    let mut events = anonymous(rng, steps);
    if rng.chance(50) {
        events.retain(|(_, event)| event.name != EventName::Logout);
    } else if owner.is_some() {
        // What comes late after a logout may have joined the next visit, which goes as a whole.
        events.retain(|(at_ms, event)| event.occurred_at_ms == *at_ms);
    }
    let arrivals: Vec<i64> = events.iter().map(|(at_ms, _)| *at_ms).collect();
    let begins = arrivals.first().copied().unwrap_or(START_MS);
    let unmerge_ms =
        if arrivals.is_empty() { begins } else { rng.pick(&arrivals) } + rng.pick(&[0, 1, 1_000, 1_800_000]);
    let key_of = |event: &Event| (event.source.clone(), event.event_id.clone());
    // Whoever is named late while somebody else is there has left, and does not sign in.
    let is_late = |(at_ms, event): &&(i64, Event)| event.occurred_at_ms != *at_ms;
    let late: BTreeSet<_> = events.iter().filter(is_late).map(|(_, event)| key_of(event)).collect();
    for (at_ms, event) in &mut events {
        let is_mistaken = event.visitor_id.as_ref().is_some_and(|visitor| visitor.as_str() == "v0");
        // Repeats must stay repeats: what an event says is a matter of the event.
        let mut by_event = Rng::new(midsession_event::hash64(&[event.event_id.as_str()]));
        let may_name = !is_mistaken || event.occurred_at_ms <= unmerge_ms && *at_ms < unmerge_ms + 24 * 3_600_000;
        if may_name && event.name != EventName::Logout && by_event.chance(40) {
            event.user_id = Some("u0".into());
        } else if let Some(owner) =
            owner.filter(|_| is_mistaken && by_event.chance(25) && !late.contains(&key_of(event)))
        {
            event.user_id = Some(owner.into());
        }
    }
    let mut without = events.clone();
    for (_, event) in &mut without {
        if event.visitor_id.as_ref().is_some_and(|visitor| visitor.as_str() == "v0") {
            event.user_id.take_if(|user| user == &"u0".into());
        }
    }
    (events, unmerge_ms, without)
}

/// What is not over a lifetime.
fn windows(mut features: Vec<String>) -> Vec<String> {
    features.retain(|text| !text.contains(" uncounted"));
    features
}

/// Lifetimes without the word on what is not in them.
fn all_counted(mut features: Vec<String>) -> Vec<String> {
    for text in &mut features {
        if let Some((life, _)) = text.split_once(" uncounted") {
            *text = format!("{life} {}", text.split_once("; ").map_or("", |(_, partials)| partials));
        }
    }
    features
}

fn unmerged(seed: u64, owner: Option<&str>, defect: Option<Defect>, assembly: &Arc<Assembly>) -> Result<usize, String> {
    let mut rng = Rng::new(seed);
    let (events, unmerge_ms, without) = mistaken(&mut rng, 4 + (seed % 60) as usize, owner);
    let config = Config { partitions: rng.pick(&[1, 4]), ..Config::default() };
    let defective = Config { defect, ..config };
    let mut found = Told::new(assembly, defective, &events, Some((unmerge_ms, "v0", "u0")));
    let mut expected = Told::new(assembly, config, &without, None);
    // A late event from before a logout was too late for the visit that was closed then; without the merge it joins the next.
    let has_logouts = events.iter().any(|(_, event)| event.name == EventName::Logout);
    let mut compared = 0;
    for at_ms in instants(&mut rng, &events, unmerge_ms) {
        found.until(at_ms);
        expected.until(at_ms);
        let owner = owner.map(|owner| ShopperId::User(owner.into()));
        for who in [ShopperId::Visitor("v0".into()), ShopperId::User("u0".into())].into_iter().chain(owner.clone()) {
            let features = (found.features(&who, at_ms), expected.features(&who, at_ms));
            let sessions = (found.sessions(&who, at_ms, false), expected.sessions(&who, at_ms, false));
            // Who else was there is known for a day.
            let features = match owner {
                Some(_) if unmerge_ms >= START_MS + 24 * 3_600_000 => (windows(features.0), windows(features.1)),
                _ => features,
            };
            // Where a login took a part along it may be said that a lifetime's count is not all, though it is again.
            let features = if has_logouts { (all_counted(features.0), all_counted(features.1)) } else { features };
            if features.0 != features.1 {
                return Err(format!("features of {who} at {at_ms}: {:?}, not {:?}", features.0, features.1));
            }
            // A visit that was ended by the next one's login stays over.
            if sessions.0 != sessions.1 && !has_logouts && owner.is_none() {
                let (mut found, mut expected) = sessions;
                let both: Vec<String> = found.iter().filter(|session| expected.contains(session)).cloned().collect();
                found.retain(|session| !both.contains(session));
                expected.retain(|session| !both.contains(session));
                return Err(format!("sessions of {who} at {at_ms}: {found:#?}, not {expected:#?}"));
            }
            compared += 1;
        }
    }
    Ok(compared)
}

/// After an unmerge, features of both equal a history without the merge, and sessions do where nobody signed out
/// meanwhile; interventions that were sent excepted.
#[test]
fn after_an_unmerge_both_equal_a_history_without_it() {
    let assembly = assembly();
    let mut compared = 0;
    for seed in 0..600 {
        compared += unmerged(seed, None, None, &assembly).unwrap_or_else(|cause| panic!("seed {seed}: {cause}"));
    }
    assert!(compared > 5_000, "{compared}");
}

/// The same where somebody else was signed in on the device before, meanwhile or after, and may have left it.
#[test]
fn who_was_there_before_and_after_has_what_was_theirs() {
    let assembly = assembly();
    let mut compared = 0;
    for seed in 0..1_500 {
        compared += unmerged(seed, Some("u1"), None, &assembly).unwrap_or_else(|cause| panic!("seed {seed}: {cause}"));
    }
    assert!(compared > 15_000, "{compared}");
}

/// What is wrong on purpose shows in it.
#[test]
fn an_unmerge_that_forgets_something_is_noticed() {
    let assembly = assembly();
    for defect in [Defect::FactLeftBehind, Defect::UndoneAgain] {
        assert!(
            (0..300).any(|seed| unmerged(seed, None, Some(defect), &assembly).is_err()),
            "{defect:?} was not noticed"
        );
    }
}
