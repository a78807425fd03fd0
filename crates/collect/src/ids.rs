//! Ids that are hashed, wherever they stand in the event beside their own place.

use midsession_event::{Campaign, Event, PropertyValue, Str};

/// A shorter id is hidden where it is all of a text: within others it would be found by chance.
const WITHIN_FROM_BYTES: usize = 6;

/// Ids and what stands for them.
#[derive(Debug, Default)]
pub struct HashedIds(Vec<(Str, Str)>);

impl HashedIds {
    /// Puts a hash in the place of an id, and keeps in mind what it was.
    pub fn put(&mut self, id: &mut Str, hash: Str) {
        let id = std::mem::replace(id, hash.clone());
        self.0.push((id, hash));
    }

    /// Keeps in mind an id that the event no longer has, and what stands for it.
    pub fn note(&mut self, id: Str, hash: Str) {
        self.0.push((id, hash));
    }

    /// Puts the hashes wherever else the ids stand: trackers repeat them as properties and in addresses, shops name carts by
    /// them. Products have ids of their own.
    pub fn hide(&self, event: &mut Event) {
        if self.0.is_empty() {
            return;
        }
        let page = event.page.iter_mut().flat_map(|page| [&mut page.url, &mut page.title, &mut page.referrer]);
        let campaign = event.campaign.iter_mut().flat_map(|campaign| {
            let Campaign { source, medium, name, term, content } = campaign;
            [source, medium, name, term, content]
        });
        let ids = [event.cart.as_mut().map(|cart| &mut cart.id), event.order.as_mut().map(|order| &mut order.id)];
        let promotion = event.promotion.iter_mut().flat_map(|promotion| [&mut promotion.id, &mut promotion.name]);
        let texts = page.chain(campaign).chain(ids.into_iter().flatten()).chain(promotion);
        let texts = texts.chain([&mut event.query, &mut event.list]).flatten();
        texts.for_each(|text| self.hide_in(text));
        for value in event.properties.values_mut() {
            match value {
                PropertyValue::Text(text) => self.hide_in(text),
                PropertyValue::Int(number) => {
                    let text = number.to_string();
                    let long = |(id, _): &&(Str, Str)| id.len() >= WITHIN_FROM_BYTES && *id == text;
                    if let Some((_, hash)) = self.0.iter().find(long) {
                        *value = PropertyValue::Text(hash.clone());
                    }
                }
                PropertyValue::Null | PropertyValue::Bool(_) | PropertyValue::Float(_) => {}
            }
        }
    }

    /// Puts the hashes where the ids stand in a text.
    pub fn hide_in(&self, text: &mut Str) {
        for (id, hash) in &self.0 {
            if text == id || id.len() >= WITHIN_FROM_BYTES && text.contains(id.as_str()) {
                *text = text.replace(id.as_str(), hash).into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use midsession_event::{EventName, Page};

    #[test]
    fn a_hashed_id_stands_nowhere_else() {
        let mut event = Event::new("shop".into(), "e1".into(), EventName::PageView, 0);
        let url = |id: &str| Some(format!("https://shop.example/account/{id}?ref=u7").into());
        event.page = Some(Page { url: url("customer-77"), title: Some("u7".into()), ..Page::default() });
        let text = |text: &str| PropertyValue::Text(text.into());
        let properties = [
            ("who", text("customer-77")),
            ("note", text("of customer-77, again")),
            ("short", text("u7")),
            ("mail", text("menu7")),
            ("number", PropertyValue::Int(7_700_077)),
            ("pieces", PropertyValue::Int(77)),
        ];
        event.properties = properties.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let mut hashed = HashedIds::default();
        for (id, hash) in [("customer-77", "h1"), ("u7", "h2"), ("7700077", "h3"), ("77", "h4")] {
            let mut place: Str = id.into();
            hashed.put(&mut place, hash.into());
            assert_eq!(place, hash);
        }
        hashed.hide(&mut event);
        let page = event.page.expect("a page");
        assert_eq!((page.url, page.title), (url("h1"), Some("h2".into())));
        let found: Vec<_> = event.properties.into_iter().collect();
        let expected = [
            ("mail", text("menu7")),
            ("note", text("of h1, again")),
            ("number", text("h3")),
            ("pieces", PropertyValue::Int(77)),
            ("short", text("h2")),
            ("who", text("h1")),
        ];
        assert_eq!(found, expected.map(|(name, value)| (Str::from(name), value)));
    }
}
