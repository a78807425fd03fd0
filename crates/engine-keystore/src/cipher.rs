//! The ciphers: keys wrapped by the master key, values sealed under the keys of a day and a shopper.
//!
//! A value is sealed with ChaCha20-Poly1305 under a key of its own: HKDF-SHA-256 of the day's key, the shopper's key and
//! 128 random bits that stand beside it. So no nonce ever comes twice, however many values a day has.

use crate::file::{Id, Kind, Wrapped};
use midsession_event::SEALED;
use midsession_ports::{Scope, Unopened};
use ring::aead::{self, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{hkdf, hmac};

/// A key.
pub type Key = [u8; 32];

/// Before the encrypted bytes: how it begins, scope, day, shopper's key, salt.
const HEAD: usize = SEALED.len() + 1 + 4 + 16 + 16;

/// The operating system gave no random bytes.
#[derive(Debug)]
pub struct NoRandom;

/// Fresh random bytes.
pub fn random<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

/// What is derived from the master key.
pub struct Master {
    wrap: LessSafeKey,
    names: hmac::Key,
    /// Stands in the file: whether this is the master key that its keys were wrapped by.
    pub check: [u8; 16],
}

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Master(***)")
    }
}

impl Master {
    pub fn new(secret: &Key) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let part = |name: &str| hmac::sign(&secret, name.as_bytes());
        let mut check = [0; 16];
        check.copy_from_slice(&part("check").as_ref()[..16]);
        Self {
            wrap: key_of(part("wrap").as_ref()),
            names: hmac::Key::new(hmac::HMAC_SHA256, part("names").as_ref()),
            check,
        }
    }

    /// The id of a key: nobody without the master key learns from it whose it is.
    pub fn id(&self, kind: Kind, name: &str) -> Id {
        let mut context = hmac::Context::with_key(&self.names);
        context.update(&[kind as u8]);
        context.update(name.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&context.sign().as_ref()[..16]);
        id
    }

    /// Wraps a key for the file.
    pub fn wrap(&self, kind: Kind, id: &Id, key: &Key) -> Result<Wrapped, NoRandom> {
        let nonce: [u8; 12] = random()?;
        let mut wrapped = [0; 60];
        wrapped[..12].copy_from_slice(&nonce);
        wrapped[12..44].copy_from_slice(key);
        let aad = Aad::from(bound_to(kind, id));
        let nonce = Nonce::assume_unique_for_key(nonce);
        // Fails for values of 64 GiB only.
        let tag = self.wrap.seal_in_place_separate_tag(nonce, aad, &mut wrapped[12..44]).map_err(|_| NoRandom)?;
        wrapped[44..].copy_from_slice(tag.as_ref());
        Ok(wrapped)
    }

    /// The key, if this master key wrapped it under this id.
    pub fn unwrap(&self, kind: Kind, id: &Id, wrapped: &Wrapped) -> Option<Key> {
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&wrapped[..12]);
        let mut sealed = [0; 48];
        sealed.copy_from_slice(&wrapped[12..]);
        let aad = Aad::from(bound_to(kind, id));
        let key = self.wrap.open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
        let mut out = [0; 32];
        out.copy_from_slice(key);
        Some(out)
    }
}

fn bound_to(kind: Kind, id: &Id) -> [u8; 17] {
    let mut bytes = [kind as u8; 17];
    bytes[1..].copy_from_slice(id);
    bytes
}

/// A key of the right size; a test seals and opens with each.
fn key_of(bytes: &[u8]) -> LessSafeKey {
    let mut key = [0; 32];
    key.copy_from_slice(&bytes[..32]);
    // Invariant: the algorithm takes keys of 32 bytes, and there are 32.
    let unbound = UnboundKey::new(&CHACHA20_POLY1305, &key).unwrap_or_else(|_| unreachable!("a key of 32 bytes"));
    LessSafeKey::new(unbound)
}

/// How a sealed value says which keys it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub scope: Scope,
    pub day: u32,
    /// Of the shopper's key.
    pub shopper: Option<Id>,
    salt: [u8; 16],
}

impl Head {
    pub fn new(scope: Scope, day: u32, shopper: Option<Id>) -> Result<Self, NoRandom> {
        Ok(Self { scope, day, shopper, salt: random()? })
    }

    fn bytes(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..5].copy_from_slice(SEALED);
        bytes[5] = Kind::of_day(self.scope) as u8;
        bytes[6..10].copy_from_slice(&self.day.to_le_bytes());
        bytes[10..26].copy_from_slice(&self.shopper.unwrap_or_default());
        bytes[26..].copy_from_slice(&self.salt);
        bytes
    }

    pub fn read(sealed: &[u8]) -> Result<Self, Unopened> {
        let (head, _) = sealed.split_first_chunk::<HEAD>().ok_or(Unopened::NotThis)?;
        let (mut day, mut shopper, mut salt) = ([0; 4], [0; 16], [0; 16]);
        day.copy_from_slice(&head[6..10]);
        shopper.copy_from_slice(&head[10..26]);
        salt.copy_from_slice(&head[26..]);
        let scope = match head[5] {
            kind if kind == Kind::DayPersonal as u8 => Scope::Personal,
            kind if kind == Kind::DayDeadLetter as u8 => Scope::DeadLetter,
            _ => return Err(Unopened::NotThis),
        };
        let shopper = Some(shopper).filter(|id| *id != Id::default());
        if !head.starts_with(SEALED) {
            return Err(Unopened::NotThis);
        }
        Ok(Self { scope, day: u32::from_le_bytes(day), shopper, salt })
    }

    /// The value's own key.
    fn key(&self, day: &Key, shopper: Option<&Key>) -> LessSafeKey {
        let of_both = hkdf::Salt::new(hkdf::HKDF_SHA256, day).extract(shopper.map_or(&[], |key| &key[..]));
        let info = [&self.salt[..]];
        // Invariant: 32 bytes are far below what HKDF can give.
        let okm = of_both.expand(&info, &CHACHA20_POLY1305).unwrap_or_else(|_| unreachable!("a key of 32 bytes"));
        LessSafeKey::new(UnboundKey::from(okm))
    }

    pub fn seal(&self, day: &Key, shopper: Option<&Key>, bound: &str, plain: &[u8]) -> Option<Vec<u8>> {
        let head = self.bytes();
        let mut out = Vec::with_capacity(HEAD + plain.len() + aead::MAX_TAG_LEN);
        out.extend_from_slice(&head);
        out.extend_from_slice(plain);
        let aad = Aad::from([&head[..], bound.as_bytes()].concat());
        let tag = self.key(day, shopper).seal_in_place_separate_tag(nonce(), aad, &mut out[HEAD..]).ok()?;
        out.extend_from_slice(tag.as_ref());
        Some(out)
    }

    pub fn open(&self, day: &Key, shopper: Option<&Key>, bound: &str, sealed: &[u8]) -> Result<Vec<u8>, Unopened> {
        let (head, rest) = sealed.split_at_checked(HEAD).ok_or(Unopened::NotThis)?;
        let mut out = rest.to_vec();
        let aad = Aad::from([head, bound.as_bytes()].concat());
        let plain = self.key(day, shopper).open_in_place(nonce(), aad, &mut out).map_err(|_| Unopened::NotThis)?;
        let length = plain.len();
        out.truncate(length);
        Ok(out)
    }
}

/// Each value has a key of its own, so the nonce may be the same.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_under_its_own_id_and_master_alone() {
        let (master, other) = (Master::new(&[1; 32]), Master::new(&[2; 32]));
        let id = master.id(Kind::Shopper, "user:u1");
        assert_ne!(id, master.id(Kind::Secret, "user:u1"));
        assert_ne!(id, other.id(Kind::Shopper, "user:u1"));
        let wrapped = master.wrap(Kind::Shopper, &id, &[7; 32]).expect("random bytes");
        assert!(!wrapped.windows(32).any(|window| window == [7; 32]));
        assert_eq!(master.unwrap(Kind::Shopper, &id, &wrapped), Some([7; 32]));
        assert_eq!(other.unwrap(Kind::Shopper, &id, &wrapped), None);
        assert_eq!(master.unwrap(Kind::Secret, &id, &wrapped), None);
        assert_eq!(master.unwrap(Kind::Shopper, &[0; 16], &wrapped), None);
        for at in 0..60 {
            let mut flipped = wrapped;
            flipped[at] ^= 1;
            assert_eq!(master.unwrap(Kind::Shopper, &id, &flipped), None, "byte {at}");
        }
    }

    #[test]
    fn a_value_opens_with_both_keys_in_its_own_record_alone() {
        for shopper in [None, Some([3; 32])] {
            let head = Head::new(Scope::Personal, 20_000, shopper.map(|_| [9; 16])).expect("random bytes");
            let sealed = head.seal(&[1; 32], shopper.as_ref(), "e1", b"jane@example.com").expect("sealed");
            assert!(midsession_event::is_sealed(&sealed) && !sealed.windows(4).any(|window| window == b"jane"));
            assert_eq!(Head::read(&sealed), Ok(head));
            let open = |day: u8, shopper: Option<Key>, bound: &str, sealed: &[u8]| {
                Head::read(sealed).and_then(|head| head.open(&[day; 32], shopper.as_ref(), bound, sealed))
            };
            assert_eq!(open(1, shopper, "e1", &sealed).as_deref(), Ok(&b"jane@example.com"[..]));
            assert_eq!(open(2, shopper, "e1", &sealed), Err(Unopened::NotThis));
            assert_eq!(open(1, Some([4; 32]), "e1", &sealed), Err(Unopened::NotThis));
            assert_eq!(open(1, shopper, "e2", &sealed), Err(Unopened::NotThis));
            for at in 0..sealed.len() {
                let mut flipped = sealed.clone();
                flipped[at] ^= 1;
                assert!(open(1, shopper, "e1", &flipped).is_err(), "byte {at}");
                assert!(open(1, shopper, "e1", &sealed[..at]).is_err(), "cut at {at}");
            }
            let again = Head::new(Scope::Personal, 20_000, None).expect("random bytes");
            assert_ne!(again.salt, head.salt);
        }
    }
}
