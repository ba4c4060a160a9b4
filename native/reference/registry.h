// SPDX-License-Identifier: Apache-2.0
// The files of the reference addon: each has one function that adds what it offers to the addon's exports.
#pragma once
#include <napi.h>

void registerMap(Napi::Env env, Napi::Object exports);
void registerPipeline(Napi::Env env, Napi::Object exports);
