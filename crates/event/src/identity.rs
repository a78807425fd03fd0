//! Records of identity: whom a visitor is taken for, and taking that back.

use crate::{OutputId, Place, Str, UserId, VisitorId};
use serde::{Deserialize, Serialize};

/// Whom a visitor is taken for, as the record at `cause` left it. Key: the visitor id; the last one of each counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The device.
    pub visitor_id: VisitorId,
    /// The person; none where nobody is known (any more).
    pub user_id: Option<UserId>,
    /// Event time of the login. Epoch ms.
    pub attached_since_ms: Option<i64>,
    /// Event time of the logout; none while signed in. Epoch ms.
    pub detached_at_ms: Option<i64>,
    /// The record of `behavior` that said so.
    pub cause: Place,
}

/// A visitor was taken for somebody they are not: whatever came of it goes back. Appended to the visitor's partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmerge {
    /// The device.
    pub visitor_id: VisitorId,
    /// Whom it was taken for.
    pub user_id: UserId,
    /// When it was asked for. Epoch ms.
    pub asked_at_ms: i64,
    /// Why, in the words of whoever asked.
    pub reason: Option<Str>,
    /// Who was at the device before and after has what is theirs of it; earlier versions left all of it to the visitor.
    #[serde(default)]
    pub gives_on: bool,
}

/// A visitor's partition asks the user's home for what came from there. Answered once, by its id, with a hand-off that
/// returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    /// Place of the unmerge and ordinal.
    pub id: OutputId,
    /// The device.
    pub visitor_id: VisitorId,
    /// Whom it was taken for.
    pub user_id: UserId,
}
