#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "buffer/state_store.h"
#include "uplink/accounting.h"
#include "uplink/forwarder.h"

namespace tidegate::daemon {

/// An uplink's accounts as the state database keeps them beside the cursor, and back.
/// The places of its lanes go with them; the cursor itself is the oldest, so that a version that knows of no lanes goes
/// on from there.
std::map<std::string, std::uint64_t> stored_accounts(const uplink::Accounting& counts, bool replay,
                                                     const uplink::LanePlaces& places);
uplink::LanePlaces places_of(const buffer::StoredCursor& cursor);
uplink::Accounting accounting_of(const buffer::StoredCursor& cursor);
/// Whether the mark of a replay is still to be acknowledged.
bool is_replay(const buffer::StoredCursor& cursor);

}  // namespace tidegate::daemon
