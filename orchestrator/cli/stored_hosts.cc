// Host entries as JSON and back.
#include "orchestrator/cli/stored_hosts.h"

namespace gnnflow {

Json entry_to_json(const HostEntry& host) {
  return Json(Json::Object{{"address", host.address},
                           {"port", host.port},
                           {"user", host.user},
                           {"identity", host.identity},
                           {"workspace", host.workspace},
                           {"data_address", host.data_address}});
}

HostEntry entry_from_json(const std::string& name, const Json& json) {
  HostEntry host;
  host.name = name;
  host.address = json.text_or("address", "local");
  host.port = static_cast<int>(json.integer_or("port", 0));
  host.user = json.text_or("user", "");
  host.identity = json.text_or("identity", "");
  host.workspace = json.text_or("workspace", "");
  host.data_address = json.text_or("data_address", "");
  return host;
}

Result<Workflow> stored_workflow(StoreReader& reader) {
  TRY(StoreOwner owner, reader.owner());
  TRY(std::vector<HostRow> rows, reader.hosts());
  Workflow workflow;
  workflow.name = owner.workflow;
  workflow.file = owner.file;
  if (owner.lease.count() > 0) workflow.lease = owner.lease;
  if (owner.grace.count() > 0) workflow.grace = owner.grace;
  for (const HostRow& row : rows) {
    if (!row.entry.is_null()) workflow.hosts.push_back(entry_from_json(row.name, row.entry));
  }
  return workflow;
}

}  // namespace gnnflow
