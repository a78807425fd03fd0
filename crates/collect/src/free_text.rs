//! What a shopper or a page wrote: a source names which of it is kept.

use midsession_event::{Campaign, Event, Page, Str};
use serde::{Deserialize, Serialize};

/// A place for free text in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FreeText {
    /// What was searched for (`query`).
    Search,
    /// The title of the page.
    Title,
    /// The name or id of a list of products.
    List,
    /// `utm_term`.
    CampaignTerm,
    /// `utm_content`.
    CampaignContent,
}

impl FreeText {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Search, Self::Title, Self::List, Self::CampaignTerm, Self::CampaignContent];

    fn text_of(self, event: &mut Event) -> Option<&mut Option<Str>> {
        match self {
            Self::Search => Some(&mut event.query),
            Self::Title => event.page.as_mut().map(|page| &mut page.title),
            Self::List => Some(&mut event.list),
            Self::CampaignTerm => event.campaign.as_mut().map(|campaign| &mut campaign.term),
            Self::CampaignContent => event.campaign.as_mut().map(|campaign| &mut campaign.content),
        }
    }
}

/// Leaves out of an event what its source does not keep.
pub(crate) fn cut(event: &mut Event, allowed: &[FreeText]) {
    let mut is_cut = false;
    for text in FreeText::ALL.into_iter().filter(|text| !allowed.contains(text)) {
        is_cut |= text.text_of(event).is_some_and(|place| place.take().is_some());
    }
    if is_cut {
        // A page or a campaign of which nothing is left is none.
        event.page.take_if(|page| *page == Page::default());
        event.campaign.take_if(|campaign| *campaign == Campaign::default());
    }
}
