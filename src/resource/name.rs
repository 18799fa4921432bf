//! Physical names: fixed before the first call, the same whenever they are asked for.

use sha2::{Digest, Sha256};

use super::{Address, Naming};

/// Hex digits of a name's hash.
const HASH_DIGITS: usize = 6;

/// The physical name of `address` in its `generation`: `{prefix}{lake}-{stack}-{part}-{6 hex of lineage, address,
/// generation}`. A part that would make the name too long is cut; the hash keeps names apart. `None` for kinds that
/// are named by their inputs.
pub fn physical_name(
    naming: Naming,
    lake: &str,
    stack: &str,
    lineage: &str,
    address: &Address,
    generation: u32,
) -> Option<String> {
    let Naming::Physical { prefix, separator, length_max } = naming else { return None };
    let hash = Sha256::digest(format!("{lineage}\n{address}\n{generation}"));
    let hash = &hex::encode(hash)[..HASH_DIGITS];
    let mut body = format!("{lake}-{stack}-{}", address.name().replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    body.truncate(length_max - prefix.len() - HASH_DIGITS - 1);
    let body = body.trim_end_matches('-').replace('-', &separator.to_string());
    Some(format!("{prefix}{body}{separator}{hash}"))
}

/// What the physical names of every resource of a stack begin with, as far as lake gave them. Another stack's may begin
/// so too: `flights-local-` is also what those of the stack `local-2` begin with. `None` for kinds that are named by
/// their inputs.
pub fn name_prefix(naming: Naming, lake: &str, stack: &str) -> Option<String> {
    let Naming::Physical { prefix, separator, length_max } = naming else { return None };
    let mut body = format!("{lake}-{stack}-");
    body.truncate(length_max - prefix.len() - HASH_DIGITS - 1);
    Some(format!("{prefix}{}", body.replace('-', &separator.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKET: Naming = Naming::Physical { prefix: "", separator: '-', length_max: 63 };

    fn name(lineage: &str, part: &str, generation: u32) -> String {
        physical_name(BUCKET, "flights", "local", lineage, &Address::new("aws:s3:Bucket", part), generation).unwrap()
    }

    #[test]
    fn a_name_tells_lake_stack_and_part_and_differs_by_lineage_and_generation() {
        let first = name("one", "raw", 1);
        assert!(first.starts_with("flights-local-raw-"), "{first}");
        assert_eq!(first, name("one", "raw", 1));
        assert_ne!(first, name("two", "raw", 1));
        assert_ne!(first, name("one", "raw", 2));
    }

    #[test]
    fn the_names_of_a_stack_begin_alike() {
        let group = Naming::Physical { prefix: "/aws/lambda/", separator: '-', length_max: 512 };
        assert_eq!(name_prefix(group, "flights", "local").as_deref(), Some("/aws/lambda/flights-local-"));
        let database = Naming::Physical { prefix: "", separator: '_', length_max: 255 };
        assert_eq!(name_prefix(database, "my-flights", "local").as_deref(), Some("my_flights_local_"));
        let name = physical_name(database, "my-flights", "local", "one", &Address::new("k", "a"), 1).unwrap();
        assert!(name.starts_with("my_flights_local_"), "{name}");
    }

    #[test]
    fn a_name_never_exceeds_what_the_service_takes() {
        let long = name("one", &"part".repeat(40), 1);
        assert_eq!(long.len(), 63);
        assert_ne!(long, name("one", &"part".repeat(41), 1));
    }
}
