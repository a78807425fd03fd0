//! Fills in the methods of a `serde::Serializer` that supports few of serde's types: each of the others is an error.
//!
//! The published crate of this name is under the LGPL; `serde_avro_fast` (MPL-2.0) needs its one macro. This is written
//! from serde's documentation of the trait and from how the macro is called.

#![no_std]
#![forbid(unsafe_code)]

#[doc(hidden)]
pub use serde;

/// Implements the named methods of `serde::Serializer` (with the associated types that belong to them) as errors:
/// `serializer_unsupported! { err = (Error::new("not here")); bool i8 str seq map }`.
#[macro_export]
macro_rules! serializer_unsupported {
    (err = ($error:expr); $($kind:tt)*) => {
        $($crate::unsupported_kind! { $kind, $error })*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! unsupported_kind {
    (bool, $e:expr) => { $crate::unsupported_method! { serialize_bool(_v: bool), $e } };
    (i8, $e:expr) => { $crate::unsupported_method! { serialize_i8(_v: i8), $e } };
    (i16, $e:expr) => { $crate::unsupported_method! { serialize_i16(_v: i16), $e } };
    (i32, $e:expr) => { $crate::unsupported_method! { serialize_i32(_v: i32), $e } };
    (i64, $e:expr) => { $crate::unsupported_method! { serialize_i64(_v: i64), $e } };
    (i128, $e:expr) => { $crate::unsupported_method! { serialize_i128(_v: i128), $e } };
    (u8, $e:expr) => { $crate::unsupported_method! { serialize_u8(_v: u8), $e } };
    (u16, $e:expr) => { $crate::unsupported_method! { serialize_u16(_v: u16), $e } };
    (u32, $e:expr) => { $crate::unsupported_method! { serialize_u32(_v: u32), $e } };
    (u64, $e:expr) => { $crate::unsupported_method! { serialize_u64(_v: u64), $e } };
    (u128, $e:expr) => { $crate::unsupported_method! { serialize_u128(_v: u128), $e } };
    (f32, $e:expr) => { $crate::unsupported_method! { serialize_f32(_v: f32), $e } };
    (f64, $e:expr) => { $crate::unsupported_method! { serialize_f64(_v: f64), $e } };
    (char, $e:expr) => { $crate::unsupported_method! { serialize_char(_v: char), $e } };
    (str, $e:expr) => { $crate::unsupported_method! { serialize_str(_v: &str), $e } };
    (bytes, $e:expr) => { $crate::unsupported_method! { serialize_bytes(_v: &[u8]), $e } };
    (none, $e:expr) => { $crate::unsupported_method! { serialize_none(), $e } };
    (unit, $e:expr) => { $crate::unsupported_method! { serialize_unit(), $e } };
    (unit_struct, $e:expr) => { $crate::unsupported_method! { serialize_unit_struct(_name: &'static str), $e } };
    (unit_variant, $e:expr) => {
        $crate::unsupported_method! {
            serialize_unit_variant(_name: &'static str, _index: u32, _variant: &'static str), $e
        }
    };
    (some, $e:expr) => { $crate::unsupported_value! { serialize_some(), $e } };
    (newtype_struct, $e:expr) => { $crate::unsupported_value! { serialize_newtype_struct(_name: &'static str), $e } };
    (newtype_variant, $e:expr) => {
        $crate::unsupported_value! {
            serialize_newtype_variant(_name: &'static str, _index: u32, _variant: &'static str), $e
        }
    };
    (seq, $e:expr) => {
        $crate::unsupported_compound! { SerializeSeq, serialize_seq(_length: ::core::option::Option<usize>), $e }
    };
    (tuple, $e:expr) => { $crate::unsupported_compound! { SerializeTuple, serialize_tuple(_length: usize), $e } };
    (tuple_struct, $e:expr) => {
        $crate::unsupported_compound! {
            SerializeTupleStruct, serialize_tuple_struct(_name: &'static str, _length: usize), $e
        }
    };
    (tuple_variant, $e:expr) => {
        $crate::unsupported_compound! {
            SerializeTupleVariant,
            serialize_tuple_variant(_name: &'static str, _index: u32, _variant: &'static str, _length: usize), $e
        }
    };
    (map, $e:expr) => {
        $crate::unsupported_compound! { SerializeMap, serialize_map(_length: ::core::option::Option<usize>), $e }
    };
    (struct, $e:expr) => {
        $crate::unsupported_compound! { SerializeStruct, serialize_struct(_name: &'static str, _length: usize), $e }
    };
    (struct_variant, $e:expr) => {
        $crate::unsupported_compound! {
            SerializeStructVariant,
            serialize_struct_variant(_name: &'static str, _index: u32, _variant: &'static str, _length: usize), $e
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! unsupported_method {
    ($method:ident($($argument:ident: $type:ty),*), $e:expr) => {
        fn $method(self, $($argument: $type),*) -> ::core::result::Result<Self::Ok, Self::Error> {
            ::core::result::Result::Err($e)
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! unsupported_value {
    ($method:ident($($argument:ident: $type:ty),*), $e:expr) => {
        fn $method<T: ?Sized + $crate::serde::Serialize>(
            self,
            $($argument: $type,)*
            _value: &T,
        ) -> ::core::result::Result<Self::Ok, Self::Error> {
            ::core::result::Result::Err($e)
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! unsupported_compound {
    ($compound:ident, $method:ident($($argument:ident: $type:ty),*), $e:expr) => {
        type $compound = $crate::serde::ser::Impossible<Self::Ok, Self::Error>;

        fn $method(self, $($argument: $type),*) -> ::core::result::Result<Self::$compound, Self::Error> {
            ::core::result::Result::Err($e)
        }
    };
}
