//! Shoppers over real HTTP, with an outside journal of what was sent and what was acknowledged.

use crate::http::Connection;
use crate::server::WRITE_KEY;
use midsession_sim::rng::Rng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub const VISITORS: u64 = 360;
/// Those whose pushes are listened to: the first ones.
pub const WATCHED: u64 = 6;
const USERS: u64 = 60;
/// With a verdict on each event.
const EVENTS: &str = "/v1/events?verdicts=1";
/// The most events of a visitor within so many ms; far more make a robot.
const PACE: [(i64, u32); 2] = [(1_000, 60), (60_000, 500)];

/// What happened outside the server.
#[derive(Default)]
pub struct Journal {
    /// Events as they were first sent, by id.
    pub sent: BTreeMap<String, Value>,
    /// Acknowledged event ids.
    pub acked: BTreeSet<String>,
    /// Ids of events that were answered and not kept, as their shopper had withdrawn that before.
    pub withheld: BTreeSet<String>,
    /// Sent without an answer: to be sent again, as they are.
    pub unanswered: VecDeque<Value>,
    /// A few that were answered, to be sent again all the same.
    pub again: VecDeque<Value>,
    /// Pushes: decision id and visitor, with the starts of the server in which they came.
    pub pushes: BTreeMap<(String, String), Vec<u64>>,
    /// Decisions whose `painted` was acknowledged, with the start of the server in which it was.
    pub painted: BTreeMap<String, u64>,
    /// Refusals, by status.
    pub refused: BTreeMap<u16, u64>,
}

/// Everything that the load keeps from one start of the server to the next.
#[derive(Default)]
pub struct Load {
    pub journal: Mutex<Journal>,
    pub made: AtomicU64,
    /// Who ever speaks of consent never signs in, and the other way round: whether a withdrawal or another device's
    /// event came home first is known to the log alone.
    pub consents_apart: bool,
    /// Events by stretch of event time (its length and number) and visitor.
    pub pace: Mutex<BTreeMap<(i64, i64, u64), u32>>,
}

/// When the server was killed, and how many requests that were under way then were never answered.
#[derive(Default)]
struct Kill {
    at: Mutex<Option<Instant>>,
    broken: AtomicUsize,
}

/// Senders and listeners of one start of the server.
pub struct Running {
    stop: Arc<AtomicBool>,
    pub acked: Arc<AtomicU64>,
    pub in_flight: Arc<AtomicUsize>,
    kill: Arc<Kill>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

impl Running {
    /// Starts senders; each has visitors of its own.
    pub fn start(load: &Arc<Load>, address: &str, seed: u64, senders: u64) -> Self {
        let (stop, acked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let in_flight = Arc::new(AtomicUsize::new(0));
        let kill = Arc::new(Kill::default());
        let threads = (0..senders)
            .map(|number| {
                let sender = Sender {
                    load: Arc::clone(load),
                    stop: Arc::clone(&stop),
                    acked: Arc::clone(&acked),
                    in_flight: Arc::clone(&in_flight),
                    kill: Arc::clone(&kill),
                    rng: Rng::new(seed * 31 + number),
                    visitors: (0..VISITORS).filter(|visitor| visitor % senders == number).collect(),
                };
                let address = address.to_owned();
                std::thread::spawn(move || sender.run(&address))
            })
            .collect();
        Self { stop, acked, in_flight, kill, threads }
    }

    /// To be said right before the server is killed.
    pub fn is_killed_now(&self) {
        *self.kill.at.lock().unwrap() = Some(Instant::now());
    }

    /// Ends the senders once the server is killed; how many requests were under way at the kill.
    pub fn join_killed(self) -> usize {
        let kill = Arc::clone(&self.kill);
        self.join();
        kill.broken.load(Ordering::SeqCst)
    }

    /// Ends the senders: they notice at the next answer, or when the server is gone.
    pub fn join(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

struct Sender {
    load: Arc<Load>,
    stop: Arc<AtomicBool>,
    acked: Arc<AtomicU64>,
    in_flight: Arc<AtomicUsize>,
    kill: Arc<Kill>,
    rng: Rng,
    visitors: Vec<u64>,
}

impl Sender {
    fn run(mut self, address: &str) {
        let Ok(mut http) = Connection::open(address) else { return };
        while !self.stop.load(Ordering::Relaxed) {
            let batch = self.batch();
            let body = Value::Array(batch.clone()).to_string();
            let key = format!("Bearer {WRITE_KEY}");
            let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
            let begun = Instant::now();
            self.in_flight.fetch_add(1, Ordering::SeqCst);
            let answer = http.ask("POST", EVENTS, &headers, &body);
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            let mut journal = self.load.journal.lock().unwrap();
            match answer {
                Ok((200, verdicts)) => {
                    let withheld = withheld(&verdicts);
                    self.acked.fetch_add((batch.len() - withheld.len()) as u64, Ordering::SeqCst);
                    for (index, event) in batch.into_iter().enumerate() {
                        let id = event["event_id"].as_str().unwrap().to_owned();
                        let list = if withheld.contains(&index) { &mut journal.withheld } else { &mut journal.acked };
                        list.insert(id);
                        if self.rng.chance(3) {
                            journal.again.push_back(event);
                        }
                    }
                }
                Ok((status, _)) => {
                    *journal.refused.entry(status).or_default() += 1;
                    journal.unanswered.extend(batch);
                }
                Err(_) => {
                    let is_broken = self.kill.at.lock().unwrap().is_some_and(|at| begun < at);
                    self.kill.broken.fetch_add(usize::from(is_broken), Ordering::SeqCst);
                    journal.unanswered.extend(batch);
                    return;
                }
            }
        }
    }

    /// What is owed, repeats, and new events.
    fn batch(&mut self) -> Vec<Value> {
        let size = self.rng.between(5, 25) as usize;
        let mut journal = self.load.journal.lock().unwrap();
        let owed = journal.unanswered.len().min(size);
        let mut batch: Vec<Value> = journal.unanswered.drain(..owed).collect();
        if self.rng.chance(50) {
            batch.extend(journal.again.pop_front());
        }
        drop(journal);
        let fresh: Vec<Value> = (batch.len()..size).map(|_| self.event()).collect();
        self.load.sent(&fresh);
        batch.extend(fresh);
        batch
    }

    /// Who acts, when: mostly anybody of ours, now and then one who is watched; nobody faster than people are.
    fn who(&mut self) -> (u64, i64) {
        loop {
            let watched = &self.visitors[..self.visitors.partition_point(|visitor| *visitor < WATCHED)];
            let visitor = if self.rng.chance(6) { self.rng.pick(watched) } else { self.rng.pick(&self.visitors) };
            let late_ms = if self.rng.chance(15) { self.rng.between(0, 5_000) } else { 0 };
            let time_ms = now_ms() - late_ms;
            let stretches = PACE.map(|(length_ms, most)| ((length_ms, time_ms.div_euclid(length_ms), visitor), most));
            let mut pace = self.load.pace.lock().unwrap();
            if stretches.iter().all(|(stretch, most)| pace.get(stretch).is_none_or(|count| count < most)) {
                stretches.iter().for_each(|(stretch, _)| *pace.entry(*stretch).or_default() += 1);
                return (visitor, time_ms);
            }
            drop(pace);
            std::thread::yield_now();
        }
    }

    fn event(&mut self) -> Value {
        let number = self.load.made.fetch_add(1, Ordering::Relaxed);
        let (visitor, time_ms) = self.who();
        let name = match self.rng.below(100) {
            0..=19 => "page_view",
            20..=44 => "product_view",
            45..=51 => "list_view",
            52..=56 => "search",
            57..=78 => "add_to_cart",
            79..=82 => "remove_from_cart",
            83..=86 => "checkout_step",
            87..=89 => "transaction",
            90..=92 => "login",
            93..=94 => "logout",
            95 => "consent",
            96..=97 => "cart_view",
            _ => "quiz_answered",
        };
        let speaks_of_consent = visitor % 7 == 3;
        // A lifetime is divided by logouts as they come in, late ones too: the others' is what they did, to the last event.
        let stays = !user_of(visitor).is_multiple_of(3);
        let is_apart = match name {
            "login" => speaks_of_consent,
            "consent" => !speaks_of_consent,
            _ => false,
        };
        let is_apart = self.load.consents_apart && is_apart || name == "logout" && stays;
        let name = if is_apart { "page_view" } else { name };
        let mut event = json!({
            "event_id": format!("e{number}"), "name": name, "visitor_id": visitor_id(visitor), "occurred_at": time_ms,
        });
        let category = self.rng.pick(&["shoes", "shirts", "hats", "bags"]);
        match name {
            "product_view" | "add_to_cart" | "remove_from_cart" => {
                let price = self.rng.pick(&[0.25, 4.0, 9.5, 15.75, 42.5]);
                let product = format!("p{}", self.rng.below(12));
                let mut product = json!({"id": product, "price": price, "currency": "EUR", "quantity": 1});
                if self.rng.chance(70) {
                    product["category"] = category.into();
                }
                event["products"] = json!([product]);
            }
            "list_view" => event["list"] = category.into(),
            "search" => event["query"] = "red shoes".into(),
            "cart_view" => {
                let total = self.rng.between(0, 400) as f64 * 0.25;
                event["cart"] = json!({"total_value": total, "currency": "EUR"});
            }
            "transaction" => {
                let revenue = self.rng.between(1, 400) as f64 * 0.25;
                event["order"] = json!({"id": format!("o{number}"), "revenue": revenue, "currency": "EUR"});
            }
            "checkout_step" => event["step"] = self.rng.between(1, 3).into(),
            "login" => event["user_id"] = format!("u{}", user_of(visitor)).into(),
            "consent" => event["consent"] = self.rng.pick(&["none", "full", "full"]).into(),
            _ => {}
        }
        event
    }
}

impl Load {
    /// Remembers what is about to be sent.
    fn sent(&self, events: &[Value]) {
        let named = events.iter().map(|event| (event["event_id"].as_str().unwrap().to_owned(), event.clone()));
        self.journal.lock().unwrap().sent.extend(named);
    }
}

/// Which events of a batch were answered and not kept; nothing else is turned away.
fn withheld(verdicts: &str) -> BTreeSet<usize> {
    let verdicts: Value = serde_json::from_str(verdicts).unwrap();
    let left_out = verdicts["rejected"].as_array().unwrap();
    let index = |verdict: &Value| {
        assert_eq!(verdict["code"], "no_consent", "{verdict}");
        verdict["index"].as_u64().unwrap() as usize
    };
    left_out.iter().map(index).collect()
}

/// Whom a visitor signs in as.
pub fn user_of(visitor: u64) -> u64 {
    visitor % USERS
}

pub fn visitor_id(number: u64) -> String {
    format!("v{number}")
}

/// Listens to what is pushed to a visitor and reports it painted, for as long as the server lives. `start`: its
/// number.
pub fn listen(load: &Arc<Load>, address: &str, visitor: String, start: u64) -> std::thread::JoinHandle<()> {
    let (load, address) = (Arc::clone(load), address.to_owned());
    std::thread::spawn(move || {
        let key = format!("Bearer {WRITE_KEY}");
        let cookie = format!("_ms_vid={visitor}");
        let headers = [("authorization", key.as_str()), ("cookie", cookie.as_str())];
        let Ok(mut report) = Connection::open(&address) else { return };
        let Ok((200, body)) = report.ask("POST", "/v1/token", &headers, "") else { return };
        let token: Value = serde_json::from_str(&body).unwrap();
        let path = format!("/v1/push?token={}", token["token"].as_str().unwrap());
        let Ok(http) = Connection::open(&address) else { return };
        // It ends when the server is killed.
        let _ = http.listen(&path, |id, _| {
            let place = (id.clone(), visitor.clone());
            load.journal.lock().unwrap().pushes.entry(place).or_default().push(start);
            let event_id = format!("painted-{start}-{visitor}-{id}");
            let painted = json!([{
                "event_id": event_id, "name": "painted", "visitor_id": visitor, "decision_id": id, "occurred_at": now_ms(),
            }]);
            load.sent(painted.as_array().unwrap());
            if let Ok((200, verdicts)) = report.ask("POST", EVENTS, &headers, &painted.to_string()) {
                if !withheld(&verdicts).is_empty() {
                    load.journal.lock().unwrap().withheld.insert(event_id);
                    return;
                }
                let mut journal = load.journal.lock().unwrap();
                journal.acked.insert(event_id);
                journal.painted.entry(id).or_insert(start);
            }
        });
    })
}
