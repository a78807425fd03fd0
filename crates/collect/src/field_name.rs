//! Which names of fields are personal in the languages of Europe, however they are spelled: by whole words, so that `nominal` and
//! `telemetry` are none.

use crate::PersonalKind;
use std::cell::RefCell;
use std::collections::HashMap;

/// Longer names are custom words, not one of these. Bytes.
const NAME_MAX: usize = 48;
/// Words of a name that are looked at.
const WORDS_MAX: usize = 12;

/// Telephone numbers. Lists are sorted.
#[rustfmt::skip]
const PHONE: [&str; 34] = [
    "cellphone", "cellulare", "celphone", "celular", "fax", "gsm", "handynummer", "mobiel", "mobil", "mobile",
    "mobilfunk", "mobilfunknummer", "mobilnummer", "movil", "msisdn", "natel", "numerodetelefono", "numerodetelephone", "numeroditelefono", "numerotelefono",
    "numerotelephone", "phone", "rufnummer", "tel", "telefon", "telefone", "telefonnr", "telefonnummer", "telefono", "telefoon",
    "telefoonnummer", "telephone", "tels", "whatsapp",
];

/// Names of people.
#[rustfmt::skip]
const NAME: [&str; 58] = [
    "accountholder", "achternaam", "addressee", "apellido", "apellidos", "attn", "cardholder", "cognome",
    "displayname", "efternamn", "efternavn", "etternavn", "etunimi", "familienaam", "familienname", "familyname",
    "firstname", "fname", "forename", "fornamn", "fornavn", "fullname", "givenname", "imie", "initials", "lastname",
    "lname", "maidenname", "middleinitial", "middlename", "naam", "nachname", "nachnamen", "name1", "nazwisko",
    "nickname", "nom", "nombrecliente", "nombrecompleto", "nombreyapellidos", "nomdefamille", "nome", "nomecognome",
    "nomeecognome", "noms", "prenom", "prenoms", "sobrenome", "soyad", "soyadi", "sukunimi", "surname", "username",
    "voornaam", "vorname", "vornamen", "фамилия", "氏名",
];

/// Postal addresses and their parts.
#[rustfmt::skip]
const ADDRESS: [&str; 70] = [
    "addr", "address", "addressline", "adres", "adresa", "adresregel", "adress", "adresse", "adressen", "adresses",
    "adresszeile", "anschrift", "calle", "cidade", "citta", "city", "ciudad", "codepostal", "codicepostale", "codigopostal",
    "deliverto", "direccion", "direcciones", "domicilio", "endereco", "gata", "hausnummer", "hometown", "housenr", "housenumber", "huisnummer", "indirizzo",
    "kodpocztowy", "lignedadresse", "line1", "line2", "line3", "localidad", "miasto", "ort", "pincode", "plaatsnaam", "plz",
    "poblacion", "postal", "postalcode", "postcode", "postcodes", "postleitzahl", "postnr", "postnummer", "rua", "rue",
    "shipto", "stad", "stadt", "straat", "straatnaam", "strasse", "strassenname", "street", "streetaddress", "streetname", "town",
    "ulica", "ville", "wohnort", "woonplaats", "zip", "zipcode",
];

/// E-mail addresses.
#[rustfmt::skip]
const EMAIL: [&str; 8] = [
    "correo", "correoelectronico", "courriel", "email", "epost", "mail", "mailadres", "mailadresse",
];

/// Never kept: birthdays, passwords, numbers of the state.
#[rustfmt::skip]
const NEVER: [&str; 43] = [
    "birthdate", "birthday", "birthyear", "bsn", "codicefiscale", "contrasena", "datadenascimento", "datadinascita", "datanascita", "datedenaissance",
    "datenaissance", "dateofbirth", "dni", "dob", "fechadenacimiento", "fechanacimiento", "fodelsedatum", "fodselsdato", "geboortedag", "geboortedatum",
    "geboortejaar", "geburtsdatum", "geburtsjahr", "geburtstag", "iban", "motdepasse", "nacimiento", "naissance", "nascita", "nif",
    "pasaporte", "paspoort", "paspoortnummer", "passaporto", "passeport", "passport", "passwort", "pin", "reisepass", "sozialversicherungsnummer", "ssn", "steuernummer", "wachtwoord",
];

/// Codes on cards, whatever stands before them: `card_cvc`. Never kept either.
#[rustfmt::skip]
const CODE: [&str; 20] = [
    "beveiligingscode", "cardcsc", "cardcvc", "cardcvn", "cardcvv", "cardpin", "cccsc", "cccvc", "cccvn", "cccvv",
    "ccv", "csc", "cvc", "cvccode", "cvn", "cvv", "cvvcode", "kartenprufnummer",
    "securitycode", "verificationvalue",
];

/// Words around one of them that leave it what it is: whose it is, and which one.
#[rustfmt::skip]
const AROUND: [&str; 109] = [
    "01", "02", "1", "2", "3", "a", "alt", "alternate", "alternative", "benutzer",
    "bill", "billing", "business", "buyer", "client", "cliente", "clienti", "clients", "code", "company",
    "contact", "contacto", "contatto", "customer", "customers", "da", "de", "del", "deliver", "delivery",
    "den", "der", "des", "di", "du", "envio", "facturacion", "facturation", "factuur", "fatturazione",
    "field", "form", "full", "gebruiker", "guest", "holder", "home", "house", "input", "invoice",
    "invoicing", "klant", "klanten", "kund", "kunde", "kunden", "la", "le", "levering", "liefer",
    "lieferung", "livraison", "ma", "main", "mein", "member", "mi", "mon", "my", "no",
    "nr", "num", "number", "numero", "nummer", "of", "office", "other", "person", "persona",
    "personne", "persoon", "primary", "privat", "private", "prive", "receiver", "rechnung", "rechnungs", "recipient",
    "second", "secondary", "sender", "ship", "shipping", "shopper", "spedizione", "str", "string", "text",
    "the", "user", "users", "usuario", "utilisateur", "value", "van", "work", "your",
];

/// Words of a name under which digits alone are a telephone number.
#[rustfmt::skip]
const CALLED: [&str; 36] = [
    "bellen", "callback", "caller", "callme", "cell", "cellphone", "cellulare", "celular", "contact", "contacto",
    "dial", "fax", "gsm", "handy", "handynummer", "mobiel", "mobil", "mobile", "movil", "msisdn",
    "phone", "phonenumber", "phones", "recall", "rufnr", "rufnummer", "sms", "tel", "telefon", "telefone",
    "telefonnummer", "telefono", "telefoon", "telephone", "telephones", "whatsapp",
];

/// Words of a name under which they are not, whatever else it says.
#[rustfmt::skip]
const COUNTED: [&str; 29] = [
    "amount", "article", "artikel", "at", "count", "ean", "gtin", "id", "ids", "imei",
    "isbn", "item", "items", "model", "ms", "order", "orders", "price", "product", "products",
    "serial", "sku", "stock", "time", "timestamp", "total", "ts", "upc", "version",
];

/// A name in small ASCII letters, and where its words end.
pub(crate) struct Words {
    plain: [u8; NAME_MAX],
    ends: [usize; WORDS_MAX],
    pub count: usize,
}

impl Words {
    /// None where it is too long to be one of ours.
    pub fn of(name: &str) -> Option<Self> {
        let mut words = Self { plain: [0; NAME_MAX], ends: [0; WORDS_MAX], count: 0 };
        let (mut length, mut before) = (0, Kind::Other);
        let mut chars = name.chars().peekable();
        while let Some(letter) = chars.next() {
            let Some(plain) = without_mark(letter) else { continue };
            let kind = Kind::of(letter);
            // `line2`, `billingCity`, `GSMNumber`.
            let next_is_small = chars.peek().is_some_and(|next| Kind::of(*next) == Kind::Small);
            let begins = match (before, kind) {
                (Kind::Small, Kind::Capital | Kind::Digit) | (Kind::Digit, Kind::Small | Kind::Capital) => true,
                (Kind::Capital, Kind::Digit) => true,
                (Kind::Capital, Kind::Capital) => next_is_small,
                _ => kind == Kind::Other,
            };
            if begins {
                words.end(length)?;
            }
            before = kind;
            if kind == Kind::Other {
                continue;
            }
            let bytes = plain.as_bytes();
            words.plain.get_mut(length..length + bytes.len())?.copy_from_slice(bytes);
            length += bytes.len();
        }
        words.end(length)?;
        Some(words)
    }

    fn end(&mut self, at: usize) -> Option<()> {
        if at > self.begin(self.count) {
            *self.ends.get_mut(self.count)? = at;
            self.count += 1;
        }
        Some(())
    }

    fn begin(&self, word: usize) -> usize {
        word.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// Some of its words, run together.
    pub fn joined(&self, words: std::ops::Range<usize>) -> &str {
        let bytes =
            if words.is_empty() { &[][..] } else { &self.plain[self.begin(words.start)..self.ends[words.end - 1]] };
        // Invariant: only ASCII is put in.
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    pub fn any(&self, list: &[&str]) -> bool {
        (0..self.count).any(|word| is_in(list, self.joined(word..word + 1)))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Small,
    Capital,
    Digit,
    Other,
}

impl Kind {
    fn of(letter: char) -> Self {
        match letter {
            _ if letter.is_ascii_digit() => Self::Digit,
            _ if letter.is_uppercase() => Self::Capital,
            _ if letter.is_alphabetic() => Self::Small,
            _ => Self::Other,
        }
    }
}

/// A letter as a small ASCII one; none of a mark that belongs to the letter before.
fn without_mark(letter: char) -> Option<&'static str> {
    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
    if letter.is_ascii() {
        let at = LETTERS.find(letter.to_ascii_lowercase());
        return Some(at.map_or("", |at| &LETTERS[at..=at]));
    }
    Some(match letter.to_lowercase().next().unwrap_or(letter) {
        '\u{300}'..='\u{36f}' => return None,
        'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
        'ğ' => "g",
        'ì'..='ï' | 'ī' | 'ı' => "i",
        'ł' | 'ľ' => "l",
        'ñ' | 'ń' | 'ň' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ő' => "o",
        'œ' => "oe",
        'ř' => "r",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ß' => "ss",
        'ť' | 'ţ' | 'ț' => "t",
        'ù'..='ü' | 'ū' | 'ů' | 'ű' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        // Of another script: a word that is none of ours.
        other if other.is_alphabetic() => "?",
        _ => "",
    })
}

/// Whether a sorted list has this word.
pub(crate) fn is_in(list: &[&str], word: &str) -> bool {
    list.binary_search(&word).is_ok()
}

/// What became of a name: whether it is personal, and the kind that it is, if it is one that may be kept.
type Judged = Option<Option<PersonalKind>>;

/// Names whose judgement is kept in mind, of one thread.
const KEPT_MAX: usize = 4_096;

/// Of a name that is personal: the kind that it is, if it is one that may be kept.
pub(crate) fn kind_of(segment: &str) -> Judged {
    thread_local! {
        // A shop's fields are always the same ones: to look their words up each time was a fifth of what an event of
        // Snowplow or Segment costs.
        static KEPT: RefCell<HashMap<Box<str>, Judged>> = RefCell::default();
    }
    if segment.len() > NAME_MAX {
        return None;
    }
    KEPT.with_borrow_mut(|kept| {
        if let Some(judged) = kept.get(segment) {
            return *judged;
        }
        if kept.len() == KEPT_MAX {
            // Somebody makes names up: the shop's own are soon here again.
            kept.clear();
        }
        let judged = judge(segment);
        kept.insert(segment.into(), judged);
        judged
    })
}

fn judge(segment: &str) -> Judged {
    let words = Words::of(segment)?;
    let is_around = |word: usize| is_in(&AROUND, words.joined(word..word + 1));
    let from = (0..words.count).find(|word| !is_around(*word)).unwrap_or(0);
    let until = (from..words.count).rfind(|word| !is_around(*word)).map_or(words.count, |word| word + 1);
    if [until, words.count].iter().any(|end| (0..*end).any(|begin| is_in(&CODE, words.joined(begin..*end)))) {
        return Some(None);
    }
    let lists: [(&[&str], Option<PersonalKind>); 5] = [
        (&NEVER, None),
        (&PHONE, Some(PersonalKind::Phone)),
        (&EMAIL, Some(PersonalKind::Email)),
        (&NAME, Some(PersonalKind::Name)),
        (&ADDRESS, Some(PersonalKind::Address)),
    ];
    // `code_postal` is one word with what is before it, `line_2` with what is behind it.
    let all = words.count;
    let ways = [from..until, 0..until, from..all, 0..all].map(|range| words.joined(range));
    let is_one = |list: &[&str]| {
        let singular = |word: &str| word.strip_suffix('s').is_some_and(|word| is_in(list, word));
        ways.iter().any(|word| is_in(list, word) || singular(word))
    };
    lists.into_iter().find(|(list, _)| is_one(list)).map(|(_, kind)| kind)
}

/// Whether digits alone under this name are a telephone number. An order's number and an article's are not.
pub(crate) fn is_called(path: &str, digits: &str) -> bool {
    if !(9..=15).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let Some(words) = Words::of(path.rsplit('.').next().unwrap_or(path)) else { return false };
    words.any(&CALLED) && !words.any(&COUNTED)
}

/// Likewise of a number.
pub(crate) fn is_called_number(path: &str, number: i64) -> bool {
    (100_000_000..1_000_000_000_000_000).contains(&number) && is_called(path, &number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [&PHONE[..], &NAME, &ADDRESS, &EMAIL, &NEVER, &CODE, &AROUND, &CALLED, &COUNTED] {
            assert!(list.is_sorted_by(|one, next| one < next), "{list:?}");
        }
    }

    #[test]
    fn more_names_than_are_kept_in_mind_are_judged_all_the_same() {
        for round in 0..3 {
            for made_up in 0..KEPT_MAX {
                assert_eq!(kind_of(&format!("made_up_{round}_{made_up}")), None);
            }
            assert_eq!(kind_of("klant_naam"), Some(Some(PersonalKind::Name)), "{round}");
        }
    }

    #[test]
    fn names_in_other_languages() {
        use PersonalKind::{Address, Email, Name, Phone};
        for (kind, names) in [
            (
                Some(Phone),
                "gsm GSM gsmNumber customer_gsm mobile mobile_number tel tel. Telefon telefoon téléphone teléfono",
            ),
            (
                Some(Phone),
                "klant-tel telefonnummer Handynummer movil móvil celular whatsapp msisdn numéro_de_téléphone",
            ),
            (Some(Name), "naam klant_naam voornaam Vorname kunden-nachname nom nom_client prenom Prénom PRÉNOM prénom"),
            (Some(Name), "cardholder card_holder account_holder accountHolder attn"),
            (Some(Address), "ship_to shipTo deliver_to housenr house_nr"),
            (Some(Name), "apellido apellidos nombre_completo cognome surname nom-de-famille"),
            (
                Some(Address),
                "adres adresse adresse_de_livraison direccion dirección indirizzo street street2 straat Straße strasse rue",
            ),
            (
                Some(Address),
                "calle postal postcode post_code billingPostcode zip ZIP zip_code plz PLZ town shipping_town city billingCity",
            ),
            (
                Some(Address),
                "line1 line2 address_line_1 shipping.line2 code_postal código_postal house_number woonplaats città",
            ),
            (Some(Email), "correo courriel correo_electrónico"),
            (
                None,
                "dob birthday date_of_birth customer_dob Geburtsdatum geboortedatum date_de_naissance fecha_nacimiento IBAN",
            ),
            (Some(Address), "pincode shippingPincode"),
            (Some(Name), "fname lname f_name lName customer_fname LNAME"),
            (
                None,
                "cvc cvv CVV2 cvc_code csc cvn card_cvc cc_cvv cardcvc cardCvc payment.cvc security_code securityCode \
                 cardSecurityCode pin pin_code card_pin user_pin passport passport_number passportNo reisepass",
            ),
        ] {
            for name in names.split(' ') {
                let last = name.rsplit('.').find(|segment| !segment.is_empty()).unwrap_or_default();
                assert_eq!(kind_of(last), Some(kind), "{name}");
            }
        }
        for name in [
            "nominal",
            "nominate",
            "telemetry",
            "tell",
            "hotel",
            "linear",
            "line_items",
            "lines",
            "pipeline",
            "online",
            "capacity",
            "velocity",
            "citya",
            "townhouse",
            "streetwear",
            "street_style",
            "postal_service_count",
            "zipper",
            "gsm_weight_grams",
            "mobile_version",
            "mobile_app",
            "is_mobile_web",
            "name",
            "product_naam",
            "nom_produit",
            "username_length",
            "listing",
            "ship_to_store",
            "shipping_total",
            "holder",
            "house",
            "attn_count",
            "phone_model",
            "phone_case_color",
            "city_guide",
            "tel_aviv_offer",
            "namespace",
            "rueful",
            "planet",
            "adressbuch_version",
            "code",
            "number",
            "shipping",
            "billing",
            "customer",
            "контакт",
            "",
            "_",
            "dobby",
            "birthday_card_design",
            "order_id",
            "ean",
            "sku",
            "coupon",
            "first_seen",
            "brand",
            "category",
            "rolling_pin",
            "pinned",
            "csc_store",
            "fn",
            "profname",
        ] {
            assert_eq!(kind_of(name), None, "{name}");
        }
    }

    #[test]
    fn digits_alone() {
        for (name, digits, expected) in [
            ("callback_number", "0612345678", true),
            ("smsTo", "612345678", true),
            ("contact", "491701234567", true),
            ("traits.phone2call", "0612345678", true),
            ("dial", "06123456", false),
            ("dial", "0612345678901234", false),
            ("dial", "06123x5678", false),
            ("order_id", "0612345678", false),
            ("contact_id", "0612345678", false),
            ("phone_ean", "4006381333931", false),
            ("mobile_order_total", "123456789", false),
            ("ean", "4006381333931", false),
            ("note", "0612345678", false),
            ("order.contact", "0612345678", true),
        ] {
            assert_eq!(is_called(name, digits), expected, "{name} {digits}");
        }
    }
}
