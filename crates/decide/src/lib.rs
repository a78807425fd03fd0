//! Interventions: rules, caps, holdouts, and the decision on a candidate.
