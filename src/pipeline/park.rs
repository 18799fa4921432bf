//! Giving an object up: it is set aside with its reason, and waits for a new version or for `lake retry`.

use super::{
    ledger::{self, Decision, Kind, Parked, Versioned, put_decisively},
    ports::{Clock, CloudError, Condition, Delete, Events, Objects},
    telling::Telling,
};

/// Writes `parked` over the record that was read before, once that is told of. `Lost`: somebody else has parked or
/// unparked the key in the meantime, so look again.
pub(super) async fn park<C: Objects + Events + Clock>(
    cloud: &C,
    parked: &Parked,
    before: Option<&Versioned<Parked>>,
) -> Result<Decision, CloudError> {
    if let Some(before) = before.filter(|before| before.value.run.id != parked.run.id) {
        tell_of_ended(cloud, &before.value).await?;
    }
    write(cloud, parked, before).await
}

async fn write<C: Objects + Clock>(
    cloud: &C,
    parked: &Parked,
    before: Option<&Versioned<Parked>>,
) -> Result<Decision, CloudError> {
    let key = Kind::Parked.key(&parked.dataset, &parked.key);
    let condition = before.map_or(Condition::Absent, |before| Condition::Matches(&before.etag));
    let bytes = ledger::body(parked);
    put_decisively(cloud, &key, bytes.clone(), condition, |there| there == bytes).await
}

/// Tells of an object that was given up, unless its record says that it was told of, and has the record say so. Should
/// the record have changed since it was read, whoever changed it sees to that.
pub(super) async fn tell<C: Objects + Events + Clock>(cloud: &C, parked: &Versioned<Parked>) -> Result<(), CloudError> {
    if parked.value.told {
        return Ok(());
    }
    cloud.tell(&Telling::of_run(&parked.value.run)).await?;
    let told = Parked { told: true, ..parked.value.clone() };
    write(cloud, &told, Some(parked)).await?;
    Ok(())
}

/// Tells of a run whose record goes: whoever parked the object may have been killed before it could. A run without a
/// report has not ended; should whoever makes it be alive, they file the report and tell.
async fn tell_of_ended(cloud: &(impl Objects + Events), parked: &Parked) -> Result<(), CloudError> {
    if !parked.told && cloud.get(&parked.run.object_key()).await?.is_some() {
        cloud.tell(&Telling::of_run(&parked.run)).await?;
    }
    Ok(())
}

/// Removes a parked record that a newer version of its object has overtaken, and only the version that was read, once
/// it is told of.
pub(super) async fn unpark(cloud: &(impl Objects + Events), parked: &Versioned<Parked>) -> Result<(), CloudError> {
    tell_of_ended(cloud, &parked.value).await?;
    let key = Kind::Parked.key(&parked.value.dataset, &parked.value.key);
    if cloud.delete(&key, Some(&parked.etag)).await? == Delete::Refused {
        tracing::info!(key = %parked.value.key, "the parked record has changed or is gone already; left as it is");
    }
    Ok(())
}
