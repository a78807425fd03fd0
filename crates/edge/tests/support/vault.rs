//! Keys in memory.

use super::*;

/// A vault in memory that turns all bits around; what has "full" in it finds no room.
#[derive(Default)]
pub struct MemoryVault {
    pub fails_with: Mutex<Option<VaultError>>,
}

impl Vault for MemoryVault {
    fn seal(&self, items: Vec<Seal>, _: i64, done: Locked) {
        if let Some(cause) = self.fails_with.lock().expect("lock").clone() {
            return done(Err(cause));
        }
        let sealed = |item: Seal| {
            let whole = [item.bound.as_bytes(), b"|", &item.plain].concat();
            let turned = whole.into_iter().map(|byte| !byte);
            let is_full = String::from_utf8_lossy(&item.plain).contains("full");
            (!is_full).then(|| midsession_event::SEALED.iter().copied().chain(turned).collect())
        };
        done(Ok(items.into_iter().map(sealed).collect()));
    }
    fn open(&self, bound: &str, sealed: &[u8]) -> Opened {
        let whole: Vec<u8> = sealed[5..].iter().map(|byte| !byte).collect();
        let plain = whole.strip_prefix(bound.as_bytes()).and_then(|rest| rest.strip_prefix(b"|"));
        plain.map(<[u8]>::to_vec).ok_or(midsession_ports::Unopened::NotThis)
    }
    fn destroy(&self, whose: &[midsession_event::ShopperId]) -> Result<usize, VaultError> {
        Ok(whose.len())
    }
    fn expire(&self, _: i64) {}
    fn keys(&self) -> usize {
        0
    }
}
