from eil_proof.main import main

main()
