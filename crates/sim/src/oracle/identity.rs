//! Who a visitor is at a time, from the list of stays.

use crate::oracle::{Act, Oracle, household, may_be_shown};

/// An interval of event time in which a visitor is a user. Both ends included.
#[derive(Clone, Debug, PartialEq)]
pub struct Stay {
    /// Who.
    pub user: String,
    /// From. Epoch ms.
    pub from_ms: i64,
    /// To; open while signed in. Epoch ms.
    pub to_ms: Option<i64>,
    /// Event time of the login. Epoch ms.
    pub since_ms: i64,
    /// It ended as somebody else came.
    pub displaced: bool,
}

impl Stay {
    /// Who has left before this is not known any more.
    pub fn is_known(&self, forgotten_ms: i64) -> bool {
        self.to_ms.is_none_or(|to_ms| to_ms > forgotten_ms)
    }
}

/// Forgets who is not known, unless they only left as somebody came who is.
pub fn forget(stays: &mut Vec<Stay>, forgotten_ms: i64) {
    let is_known = |at: usize| stays.get(at).is_some_and(|stay| stay.is_known(forgotten_ms));
    let kept: Vec<Stay> = (0..stays.len())
        .filter(|at| is_known(*at) || stays[*at].displaced && is_known(at + 1))
        .map(|at| stays[at].clone())
        .collect();
    *stays = kept;
}

/// Whose an act is.
#[derive(Clone, Debug, PartialEq)]
pub enum Whose {
    /// The anonymous visitor's.
    Visitor,
    /// The user's.
    User(String),
    /// The user's, who has left the device since.
    Left(String),
    /// The user's, and with it the visitor signs in: what is theirs moves.
    SignsIn(String),
    /// The user's, who signed in with it and has left again: what was done there within that moves.
    WasIn(String),
    /// The user's, who has left the device before; whoever seems to be there has, too.
    Ends(String),
    /// The same, where nobody seems to be there: what was done since is over.
    Repeats(String),
    /// The user's, and with it the visitor's last stay ends, for the first time or anew.
    SignsOut(String),
}

impl Whose {
    /// The user whose it is.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Visitor => None,
            Self::User(user) | Self::Left(user) | Self::SignsIn(user) | Self::SignsOut(user) => Some(user),
            Self::WasIn(user) | Self::Ends(user) | Self::Repeats(user) => Some(user),
        }
    }
}

/// Decides whose an act at `time_ms` is, and keeps the stays. `logouts`: when somebody logged out there, as far as that has come
/// in. `forgotten_ms`: older than this changes nothing any more.
pub fn attribute(stays: &mut Vec<Stay>, logouts: &[i64], act: &Act, time_ms: i64, forgotten_ms: i64) -> Whose {
    forget(stays, forgotten_ms);
    let holding = |stays: &[Stay]| {
        let holds = |stay: &Stay| stay.from_ms <= time_ms && stay.to_ms.is_none_or(|to_ms| time_ms <= to_ms);
        stays.iter().rposition(|stay| stay.is_known(forgotten_ms) && holds(stay))
    };
    let is_logout = act.name == "logout";
    // No stay ends before it has begun.
    let ends = |stays: &mut Vec<Stay>, at: usize| {
        let (was_ms, was_displaced) = (stays[at].to_ms, stays[at].displaced);
        let to_ms = time_ms.max(stays[at].since_ms);
        (stays[at].to_ms, stays[at].displaced) = (Some(to_ms), false);
        // Earlier than it seemed: whoever came next has the device since then.
        if let (Some(was_ms), Some(next)) = (was_ms, stays.get_mut(at + 1))
            && was_displaced
            && to_ms < was_ms
            && next.from_ms == was_ms + 1
        {
            next.from_ms = to_ms + 1;
        }
        let user = stays[at].user.clone();
        if at + 1 == stays.len() { Whose::SignsOut(user) } else { Whose::Left(user) }
    };
    let Some(user) = act.user.clone() else {
        let Some(at) = holding(stays) else { return Whose::Visitor };
        let user = stays[at].user.clone();
        return match stays[at].to_ms {
            _ if is_logout => ends(stays, at),
            None => Whose::User(user),
            Some(_) => Whose::Left(user),
        };
    };
    if is_logout {
        let held = holding(stays).filter(|at| stays[*at].user == user);
        let last = stays.iter().rposition(|stay| stay.user == user && stay.to_ms.is_none());
        if let Some(at) = held.or(last) {
            return ends(stays, at);
        }
        let was_here = stays.iter().any(|stay| stay.user == user && stay.is_known(forgotten_ms));
        match stays.last_mut() {
            // Of before who is there came.
            Some(there) if there.to_ms.is_none() && (time_ms <= there.since_ms || time_ms <= forgotten_ms) => {
                return Whose::Left(user);
            }
            // They have left before, and say so again: nobody is there.
            Some(there) if there.to_ms.is_none() && was_here => {
                there.to_ms = Some(time_ms);
                return Whose::Ends(user);
            }
            Some(there) if there.to_ms.is_none() => {}
            last if time_ms <= forgotten_ms
                || last.as_ref().is_some_and(|stay| stay.to_ms.is_some_and(|to_ms| to_ms > time_ms)) =>
            {
                return Whose::Left(user);
            }
            _ if was_here => return Whose::Repeats(user),
            // They have been there without being known.
            _ => {}
        }
    }
    // Whoever logs in in the millisecond of their logout is back.
    let is_before = |to_ms: i64| if act.name == "login" { time_ms < to_ms } else { time_ms <= to_ms };
    let was_theirs = |stay: &Stay| stay.user == user && stay.to_ms.is_some_and(is_before);
    let has_left = stays.iter().any(was_theirs);
    let was_there_after = stays.iter().any(|stay| stay.to_ms.is_some_and(|to_ms| to_ms > time_ms));
    match stays.last_mut().filter(|stay| stay.to_ms.is_none()) {
        Some(stay) if stay.user == user => return Whose::User(user),
        Some(stay) if time_ms < stay.since_ms || time_ms < forgotten_ms => return Whose::Left(user),
        Some(stay) => (stay.to_ms, stay.displaced) = (Some((time_ms - 1).max(stay.from_ms)), true),
        None if has_left || time_ms <= forgotten_ms => return Whose::Left(user),
        // Late, and somebody came and went after them.
        None if was_there_after => return Whose::Left(user),
        None => {}
    }
    let logout_ms = logouts.iter().copied().filter(|logout_ms| !is_logout && *logout_ms > time_ms).min();
    // All that was done there since somebody has left, known or not, is theirs.
    let before = stays.last().and_then(|stay| stay.to_ms);
    let is_earlier = |logout_ms: &i64| *logout_ms < time_ms || *logout_ms == time_ms && !is_logout;
    let logout = logouts.iter().copied().filter(is_earlier).max();
    let from_ms = [before, logout, Some(forgotten_ms)].into_iter().flatten().max().unwrap_or(forgotten_ms) + 1;
    // Who is said to leave where somebody else seemed to be has been there.
    stays.push(Stay {
        user: user.clone(),
        from_ms,
        to_ms: if is_logout { Some(time_ms) } else { logout_ms },
        since_ms: time_ms,
        displaced: false,
    });
    if logout_ms.is_some() { Whose::WasIn(user) } else { Whose::SignsIn(user) }
}

/// Whether whoever did this, where nobody was known to be, has logged out since: then it is of no visit of after that.
pub fn has_left(logouts: &[i64], act: &Act, time_ms: i64, forgotten_ms: i64) -> bool {
    let is_after = |logout_ms: i64| logout_ms > time_ms || logout_ms == time_ms && act.name != "logout";
    logouts.iter().any(|logout_ms| *logout_ms > forgotten_ms && is_after(*logout_ms))
}

/// The stays without one user: each of theirs is undone for itself, the first one first.
pub fn without(stays: &mut Vec<Stay>, user: &str) {
    while let Some(at) = stays.iter().position(|stay| stay.user == user) {
        let gone = stays.remove(at);
        match at.checked_sub(1).map(|before| stays[before].displaced) {
            Some(true) => {
                (stays[at - 1].to_ms, stays[at - 1].displaced) = (gone.to_ms, gone.displaced);
                // They come back to where they have been all the time.
                if gone.displaced && stays.get(at).is_some_and(|next| next.user == stays[at - 1].user) {
                    let again = stays.remove(at);
                    (stays[at - 1].to_ms, stays[at - 1].displaced) = (again.to_ms, again.displaced);
                }
            }
            // After a logout it is whose the device was next as it is.
            _ => {
                if let Some(next) = stays.get_mut(at).filter(|_| gone.displaced) {
                    next.from_ms = gone.from_ms;
                }
            }
        }
    }
}

/// Whether the act changed whom the visitor is taken for.
pub fn is_told(whose: &Whose) -> bool {
    matches!(whose, Whose::SignsIn(_) | Whose::WasIn(_) | Whose::SignsOut(_) | Whose::Ends(_))
}

impl Oracle {
    /// Who a visitor is signed in as.
    pub fn user_of(&self, visitor: &str) -> Option<&str> {
        let stay = self.visitors.get(&format!("visitor:{visitor}"))?.stays.last()?;
        stay.to_ms.is_none().then_some(stay.user.as_str())
    }

    /// The last stay that is known of a visitor, and whether its user may be named there by all that was said.
    fn last_stay(&self, visitor: &str, stamp_ms: i64) -> Option<(&Stay, bool)> {
        let state = self.visitors.get(&format!("visitor:{visitor}"))?;
        let forgotten_ms = stamp_ms - self.rules.horizon_ms;
        let last = state.stays.last().filter(|stay| stay.to_ms.is_none_or(|to_ms| to_ms > forgotten_ms))?;
        let word = household::word(state.said.as_ref(), state.told.as_ref(), Some(&last.user), None);
        Some((last, word.is_none_or(may_be_shown)))
    }

    pub(super) fn is_named(&self, visitor: &str, stamp_ms: i64) -> Option<bool> {
        self.last_stay(visitor, stamp_ms).map(|(_, is_named)| is_named)
    }

    /// It is told once more where that has changed.
    pub(super) fn names_anew(&mut self, before: Option<(&str, bool)>, stamp_ms: i64) {
        if let Some((visitor, was_named)) = before
            && self.is_named(visitor, stamp_ms).is_some_and(|is_named| is_named != was_named)
        {
            self.tells_identity(visitor, stamp_ms);
        }
    }

    /// Tells whom a visitor is taken for.
    pub(super) fn tells_identity(&mut self, visitor: &str, stamp_ms: i64) {
        let last = self.last_stay(visitor, stamp_ms);
        let of = |stay: &Stay| (Some(stay.user.clone()), Some(stay.since_ms));
        let (user, since_ms) = last.map_or((None, None), |(stay, _)| of(stay));
        let to_ms = last.and_then(|(stay, _)| stay.to_ms);
        let named = last.filter(|(_, is_named)| *is_named).map_or((None, None), |(stay, _)| of(stay));
        self.identity.insert(visitor.to_string(), (visitor.to_string(), named.0, named.1, to_ms));
        self.identities.push((visitor.to_string(), user, since_ms, to_ms));
    }
}
