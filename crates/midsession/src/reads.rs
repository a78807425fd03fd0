//! Features of users, sessions and fields, asked of the partitions' owners.

use crate::app::Inner;
use crate::assemble::Assembly;
use crate::driver::Seen;
use crate::find;
use midsession_edge::{AsOf, Ask, Entity, Features, Unreadable};
use midsession_event::{ShopperId, Str, partition_of};
use midsession_feature::Key;
use midsession_machine::View;
use midsession_stream::Stream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A change of definitions reaches all partitions within so many looks.
const SAME_WITHIN: u32 = 1_000;
/// And what was acknowledged, the home of whose it is.
const HOME_WITHIN: Duration = Duration::from_secs(1);

/// Rounds in which all that is on the log when they begin gets home. Whoever asks meanwhile shares the next one.
#[derive(Default)]
pub(crate) struct Rounds {
    begun: AtomicU64,
    /// The last one that is over.
    over: tokio::sync::Mutex<u64>,
}

impl Inner {
    /// The answer to one question. Whoever seems to be nowhere may be on their way home, with their first event or as they
    /// sign in: that is waited for, as nothing would be taken for the truth.
    pub(crate) async fn features_of(&self, ask: Ask) -> Result<Option<Features>, Unreadable> {
        let Ask { entity, profile, names, with_expiry } = ask;
        let wanted = Arc::new(Wanted { profile, names, with_expiry });
        if let Some(found) = self.features_now(&entity, &wanted).await? {
            return Ok(Some(found));
        }
        tokio::time::timeout(HOME_WITHIN, self.all_come_home()).await.unwrap_or(Err(Unreadable::Busy))?;
        self.features_now(&entity, &wanted).await
    }

    /// Returns once all that has been acknowledged by now is read at the home of whose it is.
    async fn all_come_home(&self) -> Result<(), Unreadable> {
        let asked = self.rounds.begun.load(Ordering::SeqCst);
        let mut over = self.rounds.over.lock().await;
        if *over > asked {
            return Ok(());
        }
        let round = self.rounds.begun.fetch_add(1, Ordering::SeqCst) + 1;
        // Where it came in, and where it was sent on to from there.
        self.all_settle().await?;
        self.all_settle().await?;
        *over = round;
        Ok(())
    }

    async fn features_now(&self, entity: &Entity, wanted: &Arc<Wanted>) -> Result<Option<Features>, Unreadable> {
        let wanted = Arc::clone(wanted);
        match entity.clone() {
            Entity::User(id) => self.user_features(id, wanted).await,
            Entity::Session(id) => self.session_features(id, wanted).await,
            Entity::Field { key, id } => self.field_features(key, id, &wanted).await,
        }
    }

    async fn user_features(&self, id: Str, wanted: Arc<Wanted>) -> Result<Option<Features>, Unreadable> {
        let partition = partition_of(&id, self.driver.partitions());
        let read = {
            let (id, wanted) = (id.clone(), Arc::clone(&wanted));
            move |Seen { stream, definitions, now_ms, .. }: Seen<'_, Assembly>| {
                let as_of = as_of(stream, now_ms);
                let here = match find::shopper(stream, &id, now_ms) {
                    find::Found::Here(shopper) => shopper,
                    find::Found::Moved(user) => return Found::Moved(user),
                    find::Found::Nobody => return Found::Nobody,
                };
                // Who has withdrawn that is nobody, to whoever asks.
                match stream.view(&here, now_ms).filter(|_| stream.may_read(&here)) {
                    Some(view) => Found::Here(wanted.of(definitions, &view, Key::User, as_of, id)),
                    None => Found::Nobody,
                }
            }
        };
        match self.driver.read(partition, read).await? {
            Found::Here(features) => Ok(features),
            Found::Nobody => Ok(None),
            Found::Moved(user) => {
                let home = partition_of(&user, self.driver.partitions());
                self.driver
                    .read(home, move |Seen { stream, definitions, now_ms, .. }| {
                        let id = ShopperId::User(user.as_str().into());
                        let view = stream.view(&id, now_ms).filter(|_| stream.may_read(&id))?;
                        wanted.of(definitions, &view, Key::User, as_of(stream, now_ms), user)
                    })
                    .await
            }
        }
    }

    /// Every partition is asked: whoever looked at a product may be at home in any of them.
    async fn field_features(&self, key: Str, id: Str, wanted: &Wanted) -> Result<Option<Features>, Unreadable> {
        let Wanted { profile, names, .. } = wanted;
        for _ in 0..SAME_WITHIN {
            let ask = {
                let (profile, key, id) = (profile.clone(), key.clone(), id.clone());
                move |Seen { stream, definitions, now_ms, .. }: Seen<'_, Assembly>| {
                    let of = definitions.field_partials(profile.as_deref(), stream.partials(), &key, &id, now_ms);
                    let (revision, since) = (stream.defined().revision, stream.defined().since.clone());
                    (as_of(stream, now_ms), of, revision, since, Arc::clone(definitions))
                }
            };
            let answers: Vec<_> = self.driver.read_all(ask).await.into_iter().collect::<Result<_, _>>()?;
            let Some((_, _, revision, since, definitions)) = answers.last().cloned() else { break };
            if answers.iter().any(|(_, _, other, ..)| *other != revision) {
                // A change is on its way through the partitions: what they have is of two definitions.
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
            let (as_of, parts): (Vec<_>, Vec<_>) = answers.into_iter().map(|(at, of, ..)| (at, of)).unzip();
            let now_ms = as_of.iter().map(|at| at.now).max().unwrap_or(0);
            let joined = definitions.join(profile.as_deref(), &key, parts.concat(), names, now_ms, &since);
            return Ok(joined.map(|(text, values)| Features { as_of, id, text, values }));
        }
        Err(Unreadable::Busy)
    }

    async fn session_features(&self, id: Str, wanted: Arc<Wanted>) -> Result<Option<Features>, Unreadable> {
        self.driver
            .find(move |Seen { stream, definitions, now_ms, .. }| {
                let (rank, session) = find::session(stream, &id, now_ms)?;
                let view = stream.session_view(session, now_ms).filter(|view| stream.may_read(view.shopper))?;
                let id = view.session?.id.to_string().into();
                Some((rank, wanted.of(definitions, &view, Key::Session, as_of(stream, now_ms), id)?))
            })
            .await
    }
}

/// What is asked of an entity.
struct Wanted {
    profile: Option<Str>,
    names: Vec<Str>,
    with_expiry: bool,
}

impl Wanted {
    /// Of a user or session; none where the profile is not known.
    fn of(&self, definitions: &Assembly, view: &View<'_>, key: Key, as_of: AsOf, id: Str) -> Option<Features> {
        let profile = self.profile.as_deref();
        let (text, mut values) = definitions.served(profile, view, key, &self.names)?;
        for served in values.iter_mut().filter(|served| self.with_expiry && served.expires_at_ms.is_none()) {
            served.expires_at_ms = definitions.vanishes_ms(profile, view, key, &served.name);
        }
        Some(Features { as_of: vec![as_of], id, text, values })
    }
}

enum Found {
    Here(Option<Features>),
    Moved(Str),
    Nobody,
}

fn as_of(stream: &Stream, now_ms: i64) -> AsOf {
    AsOf { partition: stream.partition().0, offset: stream.as_of().0, now: now_ms }
}
