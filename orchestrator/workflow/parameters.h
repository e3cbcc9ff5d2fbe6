// Parameters: declared with defaults, which give their types; overridden by `--set`.
#pragma once

#include <string>
#include <vector>

#include "common/base/json.h"
#include "common/base/result.h"
#include "orchestrator/workflow/problems.h"
#include "orchestrator/workflow/value_reader.h"
#include "orchestrator/workflow/yaml_node.h"

namespace gnnflow {

// The map under `params`, its defaults; `node` may be null.
Json::Object read_params(YamlNode* node, const Scope& scope, Problems& problems);

// The list under `env`, each with its value from the environment.
Json::Object read_env(YamlNode* node, Problems& problems);

// The values of an earlier run where they still fit.
void keep_params(Json::Object& params, const Json& earlier);

// Each "name=value" typed by the default that it replaces; all errors in one message, cause bad_usage.
Status set_params(Json::Object& params, const std::vector<std::string>& set);

}  // namespace gnnflow
