//! Simulated shoppers: they browse the demo shop's catalogue through the real collector, listen for interventions
//! like a browser does, and say what they did with them. Robots of our own, named as such.

use super::client::{AGENT, Client};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use midsession_event::plus;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The demo shop's catalogue.
pub const CATALOG: &str = include_str!("../../../../web/store/public/catalog.json");

/// A product of the demo shop.
#[derive(Clone, Debug, Deserialize)]
pub struct Product {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its category.
    pub category: String,
    /// Its brand.
    pub brand: String,
    /// Its price in `currency`.
    pub price: f64,
    /// ISO 4217.
    pub currency: String,
}

/// The catalogue.
pub fn catalog() -> Result<Vec<Product>, String> {
    serde_json::from_str(CATALOG).map_err(|error| format!("catalog.json: {error}"))
}

/// What a shopper came for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Persona {
    /// Looks around and leaves.
    Browser,
    /// Fills a cart and goes quiet.
    Staller,
    /// Looks at dear and cheap things, comes back to the cheap ones.
    Saver,
    /// Buys.
    Buyer,
}

const PERSONAS: [Persona; 8] = [
    Persona::Staller,
    Persona::Saver,
    Persona::Browser,
    Persona::Buyer,
    Persona::Browser,
    Persona::Staller,
    Persona::Browser,
    Persona::Buyer,
];

const CAMPAIGNS: [&str; 5] = ["autumn", "newsletter", "brand", "retargeting", ""];

/// Everything a shopper needs to know of the collector.
#[derive(Clone)]
pub struct Shop {
    /// Its address.
    pub collector: SocketAddr,
    /// The source's write key.
    pub write_key: String,
    /// What is for sale.
    pub catalog: Arc<Vec<Product>>,
}

/// Keeps `count` shoppers in the shop until told to stop: when one leaves, another comes.
pub async fn run(shop: Shop, count: usize, seed: u64, stop: watch::Receiver<bool>) {
    let mut seeds = fastrand::Rng::with_seed(seed);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..count {
        let (shop, mut stop) = (shop.clone(), stop.clone());
        let mut rng = seeds.fork();
        tasks.spawn(async move {
            // They do not all come in the same second.
            let pause_ms = if number < PERSONAS.len() { 0 } else { rng.u64(0..20_000) };
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
                _ = stop.changed() => return,
            }
            let mut visit = number;
            loop {
                let mut shopper = Shopper::new(&shop, &mut rng);
                tokio::select! {
                    () = shopper.visit(PERSONAS[visit % PERSONAS.len()], &mut rng) => {}
                    _ = stop.changed() => return,
                }
                visit += count;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

struct Shopper<'a> {
    shop: &'a Shop,
    client: Client,
    visitor: String,
    number: u32,
    campaign: &'static str,
    cart: Vec<Product>,
    cart_id: String,
}

impl<'a> Shopper<'a> {
    fn new(shop: &'a Shop, rng: &mut fastrand::Rng) -> Self {
        let id = uuid::Builder::from_random_bytes(rng.u128(..).to_le_bytes()).into_uuid();
        Self {
            shop,
            client: Client::new(shop.collector),
            visitor: format!("sim-{}", id.simple()),
            number: 0,
            campaign: CAMPAIGNS[rng.usize(..CAMPAIGNS.len())],
            cart: Vec::new(),
            cart_id: format!("cart-{}", &id.simple().to_string()[..12]),
        }
    }

    async fn visit(&mut self, persona: Persona, rng: &mut fastrand::Rng) {
        let (frames, mut arrived) = mpsc::channel(8);
        let listener = tokio::spawn(listen(self.shop.clone(), self.visitor.clone(), frames));
        let leave = async {
            self.page("Home", "/shop/").await;
            pause(rng, 300, 1_200).await;
            match persona {
                Persona::Browser => self.browse(rng).await,
                Persona::Staller => self.stall(rng).await,
                Persona::Saver => self.save(rng).await,
                Persona::Buyer => self.buy(rng).await,
            }
        };
        leave.await;
        // Stays on the page for a while and answers what is shown.
        let until = tokio::time::Instant::now() + Duration::from_secs(rng.u64(40..70));
        while let Ok(Some(frame)) = tokio::time::timeout_at(until, arrived.recv()).await {
            self.answer(&frame, rng).await;
        }
        listener.abort();
    }

    async fn browse(&mut self, rng: &mut fastrand::Rng) {
        for _ in 0..rng.usize(1..6) {
            let product = self.any(rng, 0.0, f64::MAX);
            self.list(&product.category).await;
            pause(rng, 800, 3_000).await;
            self.view(&product).await;
            pause(rng, 1_000, 5_000).await;
        }
        if rng.f64() < 0.3 {
            let query = self.any(rng, 0.0, f64::MAX).name;
            let event = json!({"name": "search", "query": query});
            self.send(event).await;
        }
    }

    async fn stall(&mut self, rng: &mut fastrand::Rng) {
        let dear = if rng.bool() { 180.0 } else { 85.0 };
        for _ in 0..rng.usize(1..3) {
            let product = self.any(rng, dear, f64::MAX);
            self.view(&product).await;
            pause(rng, 600, 1_500).await;
            self.add(&product).await;
            pause(rng, 300, 900).await;
        }
        self.send(json!({"name": "cart_view", "cart": self.cart()})).await;
    }

    async fn save(&mut self, rng: &mut fastrand::Rng) {
        let dear = self.any(rng, 120.0, f64::MAX);
        let cheap = [self.any(rng, 0.0, 40.0), self.any(rng, 0.0, 40.0)];
        for product in [&dear, &cheap[0], &cheap[1], &cheap[0], &cheap[1], &cheap[0]] {
            self.view(product).await;
            pause(rng, 700, 1_800).await;
        }
    }

    async fn buy(&mut self, rng: &mut fastrand::Rng) {
        for _ in 0..rng.usize(1..4) {
            let product = self.any(rng, 0.0, f64::MAX);
            self.view(&product).await;
            pause(rng, 900, 3_000).await;
            self.add(&product).await;
            pause(rng, 500, 2_000).await;
        }
        if rng.f64() < 0.5 {
            let user = format!("sim-user-{}", rng.u32(..400));
            self.send(json!({"name": "login", "user_id": user})).await;
        }
        for step in 1..=3 {
            self.send(json!({"name": "checkout_step", "step": step, "cart": self.cart()})).await;
            pause(rng, 900, 3_500).await;
        }
        let revenue = self.cart.iter().fold(0.0, |sum, product| plus(sum, product.price));
        let order = json!({"id": format!("o-{}", self.cart_id), "revenue": revenue, "currency": "EUR"});
        let products: Vec<Value> = self.cart.iter().map(product_json).collect();
        self.send(json!({"name": "transaction", "order": order, "products": products})).await;
        self.cart.clear();
    }

    /// Says what a browser would say of a painted intervention; without paint times, as nothing is painted.
    async fn answer(&mut self, frame: &Value, rng: &mut fastrand::Rng) {
        let about = |name: &str| json!({"name": name, "decision_id": frame["decision_id"], "properties": {"rule": frame["rule"]}});
        pause(rng, 30, 120).await;
        self.send(about("painted")).await;
        pause(rng, 800, 4_000).await;
        let answer = rng.f64();
        if answer < 0.35 {
            self.send(about("click")).await;
            if answer < 0.15 && !self.cart.is_empty() {
                self.buy(rng).await;
            }
        } else if answer < 0.6 {
            self.send(about("dismiss")).await;
        }
    }

    async fn page(&mut self, title: &str, path: &str) {
        let query = if self.campaign.is_empty() {
            String::new()
        } else {
            format!("?utm_campaign={}&utm_source=demo", self.campaign)
        };
        let url = format!("http://{}{path}{query}", self.shop.collector);
        self.send(json!({"name": "page_view", "page": {"url": url, "title": title}})).await;
    }

    async fn list(&mut self, category: &str) {
        let products: Vec<Value> =
            self.shop.catalog.iter().filter(|product| product.category == category).take(6).map(product_json).collect();
        self.send(json!({"name": "list_view", "list": category, "products": products})).await;
    }

    async fn view(&mut self, product: &Product) {
        self.page(&product.name, &format!("/shop/product/{}", product.id)).await;
        self.send(json!({"name": "product_view", "products": [product_json(product)]})).await;
    }

    async fn add(&mut self, product: &Product) {
        self.cart.push(product.clone());
        self.send(json!({"name": "add_to_cart", "products": [product_json(product)], "cart": self.cart()})).await;
    }

    fn cart(&self) -> Value {
        let total = self.cart.iter().fold(0.0, |sum, product| plus(sum, product.price));
        json!({"id": self.cart_id, "total_value": total, "currency": "EUR"})
    }

    fn any(&self, rng: &mut fastrand::Rng, from: f64, to: f64) -> Product {
        let fitting: Vec<&Product> =
            self.shop.catalog.iter().filter(|product| product.price >= from && product.price <= to).collect();
        let list = if fitting.is_empty() { self.shop.catalog.iter().collect() } else { fitting };
        list[rng.usize(..list.len())].clone()
    }

    async fn send(&mut self, mut event: Value) {
        self.number += 1;
        event["event_id"] = format!("{}-{}", self.visitor, self.number).into();
        event["visitor_id"] = self.visitor.clone().into();
        // A repeat after trouble has the same id and takes effect once.
        for attempt in 1..=5u64 {
            match self.client.events(&self.shop.write_key, &event).await {
                Ok(answer) if answer.status != 429 && answer.status < 500 => return,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(200 * attempt)).await,
            }
        }
    }
}

fn product_json(product: &Product) -> Value {
    json!({"id": product.id, "name": product.name, "category": product.category, "brand": product.brand,
        "price": product.price, "currency": product.currency})
}

async fn pause(rng: &mut fastrand::Rng, from_ms: u64, to_ms: u64) {
    tokio::time::sleep(Duration::from_millis(rng.u64(from_ms..to_ms))).await;
}

/// Opens the shopper's push stream and hands on the interventions that come.
pub async fn listen(shop: Shop, visitor: String, frames: mpsc::Sender<Value>) -> Option<()> {
    let mut client = Client::new(shop.collector);
    let cookie = format!("_ms_vid={visitor}");
    let headers = [("cookie", cookie.as_str()), ("user-agent", AGENT)];
    let answer =
        client.send("POST", &format!("/v1/token?key={}", shop.write_key), &headers, Bytes::new()).await.ok()?;
    let token = serde_json::from_slice::<Value>(&answer.body).ok()?;
    let path = format!("/v1/push?token={}", token["token"].as_str()?);
    let stream = tokio::net::TcpStream::connect(shop.collector).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let _connection = tokio::spawn(connection);
    let request = http::Request::get(path)
        .header("host", shop.collector.to_string())
        .header("accept", "text/event-stream")
        .header("user-agent", AGENT)
        .body(http_body_util::Empty::<Bytes>::new())
        .ok()?;
    let mut body = sender.send_request(request).await.ok()?.into_body();
    let mut text = String::new();
    while let Some(Ok(chunk)) = body.frame().await {
        text.push_str(&String::from_utf8_lossy(chunk.data_ref().map_or(&[][..], |data| data)));
        while let Some(end) = text.find("\n\n") {
            let message: String = text.drain(..end + 2).collect();
            if !message.lines().any(|line| line == "event: intervention") {
                continue;
            }
            let data = message.lines().find_map(|line| line.strip_prefix("data: "))?;
            if let Ok(frame) = serde_json::from_str(data) {
                // A shopper who has left misses it, as a closed tab would.
                frames.send(frame).await.ok()?;
            }
        }
        if text.len() > 1 << 20 {
            return None;
        }
    }
    Some(())
}
