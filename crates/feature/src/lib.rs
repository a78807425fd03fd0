//! Feature definitions, folds over facts, and the expression language.
