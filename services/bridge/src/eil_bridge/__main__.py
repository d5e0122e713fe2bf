from eil_bridge.main import main

main()
