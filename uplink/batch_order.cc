#include "uplink/batch_order.h"

#include <algorithm>

namespace tidegate::uplink {

BatchPlace::BatchPlace(const OutgoingBatch& batch)
    : of(batch.stream, Forwarder::lane_of(batch.id).lane),
      round(batch.round),
      from{batch.epoch, batch.from},
      is_beside(batch.beside != 0) {}

BatchOrder::Chain& BatchOrder::chain_of(const BatchPlace& batch) {
  Chain& chain = chains_[batch.of];
  if (batch.round > chain.round) chain = Chain{batch.round, std::nullopt};
  return chain;
}

bool BatchOrder::comes_too_early(const BatchPlace& batch) {
  if (batch.is_beside) return false;
  const Chain& chain = chain_of(batch);
  return chain.awaited && batch.from > *chain.awaited;
}

void BatchOrder::on_taken(const BatchPlace& batch) {
  if (batch.is_beside) return;
  Chain& chain = chain_of(batch);
  if (batch.round == chain.round && chain.awaited && batch.from <= *chain.awaited) chain.awaited.reset();
}

// One of an earlier round does not come again.
void BatchOrder::on_failed(const BatchPlace& batch) {
  if (batch.is_beside) return;
  Chain& chain = chain_of(batch);
  if (batch.round < chain.round) return;
  chain.awaited = std::min(chain.awaited.value_or(batch.from), batch.from);
}

}  // namespace tidegate::uplink
