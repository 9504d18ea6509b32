//! Two processes: before every operation of one, the other comes and does all of its work.
