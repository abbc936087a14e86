module example.invalid/capstan-test-nsforward

go 1.24.0
