{
  # For tools that drive node-gyp: the build itself is native/CMakeLists.txt, driven by cmake-js.
  "targets": [
    {
      "target_name": "weir_reference",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake-js",
          "inputs": ["native/CMakeLists.txt", "scripts/install-native.mjs"],
          "outputs": ["<(PRODUCT_DIR)/weir_reference.node"],
          "action": ["node", "scripts/install-native.mjs", "--required", "--copy", "<(PRODUCT_DIR)"]
        }
      ]
    }
  ]
}
